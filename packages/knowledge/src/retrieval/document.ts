/** What can be found: a piece of text with what is known about it. */
export interface RetrievalDocument {
  id: string;
  text: string;
  title?: string;
  /** What it is part of: a session's conversation, a file. With `order` it tells a piece's neighbours. */
  thread?: string;
  order?: number;
  /** Milliseconds since the epoch. */
  at?: number;
  /** 0 to 1; default 0.5. */
  importance?: number;
  /** How often it was recalled and used. */
  uses?: number;
}

/** What a collection mostly is; decides how a text is parted into fields and how much each counts. */
export type Profile = "prose" | "conversation" | "code";
