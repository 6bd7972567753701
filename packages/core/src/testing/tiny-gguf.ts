import { writeFile } from "node:fs/promises";

import { seededRandom } from "./random.ts";

export interface TinyGguf {
  /** Weights are random; the same seed gives the same file. Default 1. */
  seed?: number;
  /** Numbers a token's vector; a multiple of 4. Default 32. */
  dimension?: number;
  /** Tokens that it can read at once. Default 2,048. */
  context?: number;
  /** Jinja template of a conversation. Default: roles and texts between marks, and nothing that tells of functions. */
  template?: string;
}

/**
 * Writes a language model of a few hundred kilobytes in the GGUF format (version 3, architecture `llama`, one layer, a vocabulary of bytes and printable
 * characters) that llama.cpp loads and runs. Its weights are random numbers: what it says means nothing unless a grammar binds it. For tests that want real
 * inference without a download. See https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 */
export async function writeTinyGguf(file: string, options: TinyGguf = {}): Promise<void> {
  const { seed = 1, dimension = 32, context = 2_048, template = TEMPLATE } = options;
  const vocabulary = tinyVocabulary();
  const random = seededRandom(seed);
  const inner = dimension * 2;
  const matrix = (name: string, columns: number, rows: number): Tensor => ({
    name,
    shape: [columns, rows],
    data: Float32Array.from({ length: columns * rows }, () => (random.next() - 0.5) * 0.5),
  });
  const ones = (name: string): Tensor => ({ name, shape: [dimension], data: new Float32Array(dimension).fill(1) });
  const tensors = [
    matrix("token_embd.weight", dimension, vocabulary.length),
    ones("blk.0.attn_norm.weight"),
    matrix("blk.0.attn_q.weight", dimension, dimension),
    matrix("blk.0.attn_k.weight", dimension, dimension),
    matrix("blk.0.attn_v.weight", dimension, dimension),
    matrix("blk.0.attn_output.weight", dimension, dimension),
    ones("blk.0.ffn_norm.weight"),
    matrix("blk.0.ffn_gate.weight", dimension, inner),
    matrix("blk.0.ffn_up.weight", dimension, inner),
    matrix("blk.0.ffn_down.weight", inner, dimension),
    ones("output_norm.weight"),
    matrix("output.weight", dimension, vocabulary.length),
  ];
  const metadata = [
    entry("general.architecture", text("llama")),
    entry("general.name", text("tiny random weights")),
    entry("llama.context_length", uint32(context)),
    entry("llama.embedding_length", uint32(dimension)),
    entry("llama.block_count", uint32(1)),
    entry("llama.feed_forward_length", uint32(inner)),
    entry("llama.attention.head_count", uint32(2)),
    entry("llama.attention.head_count_kv", uint32(2)),
    entry("llama.attention.layer_norm_rms_epsilon", float32(1e-5)),
    entry("llama.rope.dimension_count", uint32(dimension / 2)),
    entry("llama.vocab_size", uint32(vocabulary.length)),
    entry("tokenizer.ggml.model", text("llama")),
    entry("tokenizer.ggml.tokens", array(text, vocabulary.map((token) => token.text))), // prettier-ignore
    entry("tokenizer.ggml.scores", array(float32, vocabulary.map((_token, at) => -at))), // prettier-ignore
    entry("tokenizer.ggml.token_type", array(int32, vocabulary.map((token) => token.type))), // prettier-ignore
    entry("tokenizer.ggml.bos_token_id", uint32(1)),
    entry("tokenizer.ggml.eos_token_id", uint32(2)),
    entry("tokenizer.ggml.unknown_token_id", uint32(0)),
    entry("tokenizer.chat_template", text(template)),
  ];
  await writeFile(file, fileOf(metadata, tensors));
}

const TEMPLATE =
  "{% for message in messages %}[{{ message['role'] }}]\n{{ message['content'] }}</s>\n{% endfor %}{% if add_generation_prompt %}[assistant]\n{% endif %}";

interface Tensor {
  name: string;
  shape: number[];
  data: Float32Array;
}

/** Kinds of tokens, as the format numbers them. */
const TOKEN = { normal: 1, unknown: 2, control: 3, byte: 6 };

function tinyVocabulary(): Array<{ text: string; type: number }> {
  const bytes = Array.from({ length: 256 }, (_, value) => ({
    text: `<0x${value.toString(16).toUpperCase().padStart(2, "0")}>`,
    type: TOKEN.byte,
  }));
  // A space is written as the mark of a word's beginning, and stands first: its score is the best.
  const characters = ["▁", ...Array.from({ length: 94 }, (_, at) => String.fromCodePoint(33 + at))];
  return [
    { text: "<unk>", type: TOKEN.unknown },
    { text: "<s>", type: TOKEN.control },
    { text: "</s>", type: TOKEN.control },
    ...bytes,
    ...characters.map((character) => ({ text: character, type: TOKEN.normal })),
  ];
}

/** A value with the number of its type. */
interface Value {
  type: number;
  bytes: Buffer;
}

const ALIGNMENT = 32;

function fileOf(metadata: readonly Buffer[], tensors: readonly Tensor[]): Buffer {
  const described: Buffer[] = [];
  let offset = 0;
  for (const { name, shape, data } of tensors) {
    // Type 0: 32-bit floating point.
    described.push(string(name), u32(shape.length), ...shape.map((size) => u64(size)), u32(0), u64(offset));
    offset += padded(data.byteLength);
  }
  const head = Buffer.concat([Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(metadata.length), ...metadata, ...described]);
  const body = tensors.flatMap(({ data }) => [
    Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    Buffer.alloc(padded(data.byteLength) - data.byteLength),
  ]);
  return Buffer.concat([head, Buffer.alloc(padded(head.length) - head.length), ...body]);
}

function entry(key: string, value: Value): Buffer {
  return Buffer.concat([string(key), u32(value.type), value.bytes]);
}

function array<T>(of: (value: T) => Value, values: readonly T[]): Value {
  const written = values.map(of);
  return { type: 9, bytes: Buffer.concat([u32(written[0]?.type ?? 0), u64(values.length), ...written.map((value) => value.bytes)]) };
}

function text(value: string): Value {
  return { type: 8, bytes: string(value) };
}

function uint32(value: number): Value {
  return { type: 4, bytes: u32(value) };
}

function int32(value: number): Value {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return { type: 5, bytes };
}

function float32(value: number): Value {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return { type: 6, bytes };
}

function string(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function padded(size: number): number {
  return Math.ceil(size / ALIGNMENT) * ALIGNMENT;
}
