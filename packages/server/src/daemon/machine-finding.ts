/** One thing that was looked at. */
export interface MachineFinding {
  id: string;
  level: "ok" | "warning" | "problem";
  text: string;
  /** Empty: nothing to do. */
  remedy: string;
}
