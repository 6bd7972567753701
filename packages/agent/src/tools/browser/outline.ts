import { list, record, text } from "./devtools.ts";

/** A node of a page's accessibility tree, as much as is shown of it. */
export interface OutlineNode {
  role: string;
  name: string;
  value: string;
  /** `checked`, `level=2`, `disabled`, … */
  marks: string[];
  /** 0: none. */
  backendId: number;
  children: OutlineNode[];
}

/** What takes clicks or keys. */
const INTERACTIVE = new Set(
  "button link textbox searchbox combobox listbox option checkbox radio switch slider spinbutton menuitem menuitemcheckbox menuitemradio tab treeitem DateTime Date Time ColorWell Iframe PopUpButton".split(
    " ",
  ),
);
/** Say nothing of their own. */
const PLAIN = new Set(
  "none generic MenuListPopup InlineTextBox LineBreak RootWebArea WebArea paragraph Section LabelText ListMarker LayoutTable LayoutTableRow LayoutTableCell rowgroup".split(
    " ",
  ),
);
const MARKS = [
  "checked",
  "disabled",
  "expanded",
  "focused",
  "invalid",
  "level",
  "modal",
  "multiselectable",
  "pressed",
  "readonly",
  "required",
  "selected",
];
const DEEPEST = 200;

/** Makes a tree of what the browser tells of a frame; `frames` are the trees of frames within it, by the node that holds them. */
export function readTree(nodes: readonly unknown[], frames: ReadonlyMap<number, OutlineNode>): OutlineNode | undefined {
  const byId = new Map(nodes.map((node) => [text(record(node)["nodeId"]), record(node)]));
  const seen = new Set<string>();
  const read = (node: Record<string, unknown>, depth: number): OutlineNode[] => {
    const id = text(node["nodeId"]);
    if (seen.has(id) || depth > DEEPEST) return [];
    seen.add(id);
    const children = list(node["childIds"]).flatMap((child) => {
      const found = byId.get(text(child));
      return found === undefined ? [] : read(found, depth + 1);
    });
    const backendId = Number(node["backendDOMNodeId"] ?? 0);
    const inner = frames.get(backendId);
    if (inner !== undefined) children.push(inner);
    if (node["ignored"] === true && inner === undefined) return children;
    const role = text(record(node["role"])["value"]);
    const marks = list(node["properties"]).flatMap((property) => markOf(record(property)));
    return [
      { role, name: worded(record(node["name"])["value"]), value: worded(record(node["value"])["value"]), marks, backendId, children },
    ];
  };
  const root = nodes.map(record).find((node) => node["parentId"] === undefined);
  const read_ = root === undefined ? [] : read(root, 0);
  return read_.length === 1 ? read_[0] : { role: "RootWebArea", name: "", value: "", marks: [], backendId: 0, children: read_ };
}

function markOf(property: Record<string, unknown>): string[] {
  const name = text(property["name"]);
  const value = record(property["value"])["value"];
  if (name === "focusable" || !MARKS.includes(name)) return [];
  if (value === false || value === "false" || value === undefined) return name === "expanded" ? ["collapsed"] : [];
  return [value === true || value === "true" ? name : `${name}=${JSON.stringify(value).slice(0, 40)}`];
}

/** As lines, indented; `refOf` names what can be acted on. Words of a parent are not said again. */
export function renderOutline(root: OutlineNode, refOf: (backendId: number) => string): string {
  const lines: string[] = [];
  const walk = (node: OutlineNode, depth: number, said: string): void => {
    if (lines.length > MOST_LINES) return;
    const indent = "  ".repeat(Math.min(depth, 20));
    if (node.role === "StaticText") {
      if (node.name !== "" && !said.includes(node.name)) lines.push(`${indent}- ${node.name}`);
      return;
    }
    const acts = INTERACTIVE.has(node.role) || (node.marks.includes("focused") && !node.role.endsWith("WebArea"));
    if (PLAIN.has(node.role) && !(acts && node.backendId !== 0)) {
      for (const child of joined(node.children)) walk(child, depth, said);
      return;
    }
    if (node.role === "image" && node.name === "") return;
    const name = node.name === "" ? "" : ` ${JSON.stringify(node.name)}`;
    const marks = [...node.marks, ...(acts && node.backendId !== 0 ? [`ref=${refOf(node.backendId)}`] : [])];
    const value = node.value === "" || node.value === node.name ? "" : `: ${node.value}`;
    lines.push(`${indent}- ${node.role}${name}${marks.length === 0 ? "" : ` [${marks.join(", ")}]`}${value}`);
    if (node.role === "textbox" || node.role === "searchbox") return;
    for (const child of joined(node.children)) walk(child, depth + 1, node.name);
  };
  walk(root, 0, "");
  return lines.join("\n");
}

const MOST_LINES = 5_000;

/** Neighbouring texts are one. */
function joined(children: readonly OutlineNode[]): OutlineNode[] {
  const result: OutlineNode[] = [];
  for (const child of children) {
    const last = result.at(-1);
    if (child.role === "StaticText" && last?.role === "StaticText")
      result[result.length - 1] = { ...last, name: `${last.name} ${child.name}`.slice(0, 2_000) };
    else result.push(child);
  }
  return result;
}

function worded(value: unknown): string {
  const words = typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
  const line = words.replaceAll(/\s+/g, " ").trim();
  return line.length > 500 ? `${line.slice(0, 499)}…` : line;
}
