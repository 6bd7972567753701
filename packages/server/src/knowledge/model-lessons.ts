import type { Event } from "@guildhall/core";
import type { Lesson } from "@guildhall/knowledge";
import { z } from "zod";

import type { KnowledgeModel } from "./knowledge-model.ts";

const MOST = 6;
const LONGEST = 600;

/**
 * What a model takes from a finished session. Each lesson has to cite events that are there; files and commands are taken over only where they stand in the rules' own lessons or in the
 * events. What was remembered on purpose stays, whatever the model leaves out.
 */
export async function modelLessons(
  model: KnowledgeModel,
  events: readonly Event[],
  ruled: readonly Lesson[],
  options: { clean(text: string): string; signal: AbortSignal },
): Promise<Lesson[]> {
  const { transcriptOf } = await import("@guildhall/knowledge");
  const seqs = new Set(events.map((event) => Number(event.seq)));
  const candidates = ruled.map(({ text, seqs: cited }) => `- [${cited.join(", ")}] ${options.clean(text)}`);
  const data = `${transcriptOf(events, { clean: (text) => options.clean(text) })}\n\nCandidates that rules have found:\n${candidates.join("\n")}`;
  const said = answer.parse(await model.ask(INSTRUCTIONS, options.clean(data), options.signal));
  const written = said.flatMap(({ text, title, seqs: cited, confidence }): Lesson[] => {
    const there = [...new Set(cited)].filter((seq) => seqs.has(seq));
    if (there.length === 0 || text.trim().length < 20) return [];
    const near = ruled.filter((lesson) => lesson.seqs.some((seq) => there.includes(seq)));
    const command = near.find((lesson) => lesson.command !== undefined)?.command;
    return [
      {
        text: text.trim().slice(0, LONGEST),
        title: title.trim().slice(0, 80),
        seqs: there,
        ...(command === undefined ? {} : { command }),
        paths: [...new Set(near.flatMap((lesson) => lesson.paths))].slice(0, 5),
        confidence: Math.min(0.8, Math.max(0.3, confidence)),
      },
    ];
  });
  const kept = ruled.filter(
    (lesson) => lesson.remembered === true && !written.some((one) => one.seqs.some((seq) => lesson.seqs.includes(seq))),
  );
  return [...kept, ...written].slice(0, MOST);
}

const answer = z.array(
  z.object({
    text: z.string(),
    title: z.string().default(""),
    seqs: z.array(z.number().int()).default([]),
    confidence: z.number().default(0.6),
  }),
);

const INSTRUCTIONS = `You write down what a finished session of a software engineer's assistant taught about its project, for sessions to come.
Take at most ${MOST} lessons: how things work here, what failed and why, what people want, commands that check something. Nothing about the task itself, nothing that any engineer knows, no secrets, no names of people.
Each stands by itself in one or two sentences, names exact values, paths and commands, and cites the numbers in brackets of the lines that show it. When nothing is worth keeping answer [].
Answer: [{"text": "…", "title": "three words", "seqs": [12, 15], "confidence": 0.7}, …]`;
