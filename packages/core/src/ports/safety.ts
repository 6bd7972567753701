import type { Risk } from "@guildhall/protocol";

export interface ProposedAction {
  callId: string;
  tool: string;
  /** Validated arguments. */
  arguments: unknown;
  risk: Risk;
  /** Why the risk is what it is, in words; for the person who is asked. */
  reasons?: readonly string[];
  workspace: string;
  /** It would send something out, after private data and content that nobody vouches for have come together in the session. */
  exposure?: { sends: string; untrusted: string };
}

/** What an action may do at its worst, and why. */
export interface ActionRisk {
  risk: Risk;
  /** One a finding that reached the risk, in words; none for what is low. */
  reasons: string[];
}

/** Tells from a script's syntax what it may do. What it cannot understand is high, and so is whatever makes it throw. */
export interface CommandJudge {
  judge(script: string): ActionRisk;
}

export type Verdict =
  | { decision: "allow" }
  | { decision: "refuse"; reason: string }
  | {
      decision: "ask";
      reason: string;
      rule: string;
      digest: string;
      /** Private data could leave on the word of untrusted content. */
      dataLeaves?: boolean;
    };

/** What policy says of an action. Pure: the answer of a person comes as an event. */
export interface Approvals {
  judge(action: ProposedAction): Verdict;
}

export interface Spending {
  steps: number;
  tokens: number;
  costUsd: number;
  seconds: number;
}

/**
 * Budgets above a session's own limits (organisation, project). Reserved in chunks before calls and given back after; a
 * reservation that is not confirmed by its lease's end returns by itself.
 */
export interface Budgets {
  /**
   * Throws `resource_exhausted` saying which budget and how much is left. `name`: to be its id, for whoever may have to ask again because no answer
   * came; the same name reserves once.
   */
  reserve(session: { tenant: string; session: string; epoch: number }, wanted: Partial<Spending>, name?: string): Promise<Reservation>;
  /** A second settling changes nothing. */
  settle(reservation: Reservation, spent: Partial<Spending>): Promise<void>;
}

export interface Reservation {
  /** Empty: nothing limits the session. */
  id: string;
  /** It was asked for more than once: one of those requests may come when it is settled, and must reserve nothing then. */
  askedAgain?: boolean;
}

/** Credentials at rest. Values never enter events, prompts or output. */
export interface Secrets {
  get(name: string): Promise<string | undefined>;
  set(name: string, value: string): Promise<void>;
  delete(name: string): Promise<void>;
  names(): Promise<string[]>;
}

/** Something in a text that looks like a secret: half-open, UTF-16 code units. */
export interface SecretFinding {
  /** `github-token`, `private-key`, …; docs/secrets.md lists them. */
  rule: string;
  start: number;
  end: number;
}

/**
 * Finds secrets that nobody has told us of, by their shape. One rule set for the whole product; time grows with the length of the text and
 * with nothing else, whatever it holds.
 */
export interface SecretScanner {
  /** In order, none within another. */
  scan(text: string): SecretFinding[];
  /** The text with `***` in place of each finding. */
  redact(text: string): string;
  /**
   * The same for a stream: `push` returns what is safe to pass on, `end` the rest. Holds back what may be the beginning of a secret, at most
   * 16 Ki characters.
   */
  stream(): { push(text: string): string; end(): string };
}

/** Takes known secrets and their encodings out of text before it is stored, shown or sent. */
export interface Masker {
  /** Adds values to be masked from now on. */
  add(secrets: Iterable<string>): void;
  mask(text: string): string;
  /** A masker for a stream, where a secret may be split across chunks: `push` returns what is safe to pass on, `end` the rest. */
  stream(): { push(text: string): string; end(): string };
}
