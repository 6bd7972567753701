import type { KnownTools, TextCall } from "./call-shape.ts";

/** Why something that was meant as a call is none. */
export type CallFault =
  /** The text ends in the middle of it. */
  | "unclosed"
  /** What should name tool and arguments cannot be read. */
  | "unreadable";

/** What stands at a place in a text. */
export interface ReadStyle {
  calls?: TextCall[];
  fault?: CallFault;
  /** The model goes on as if it had the results already: nothing from here on counts. */
  stop?: boolean;
  /** Index after it; what lies before is no part of what the model says. */
  end: number;
}

/** One way in which models write calls. */
export interface Style {
  /** Where it may begin; global. */
  readonly open: RegExp;
  /** What stands there; undefined: nothing of the kind after all. Pure. */
  read(text: string, match: RegExpExecArray, tools: KnownTools): ReadStyle | undefined;
}
