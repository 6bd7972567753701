import { Risk } from "@guildhall/protocol";

/** What a command line may do at its worst, and why. */
export interface ShellRisk {
  risk: Risk;
  /** One a finding that reached the risk, in words. */
  reasons: string[];
}

/** One finding about one command. */
export interface Finding {
  risk: Risk;
  reason: string;
}

/** The highest risk among them with its reasons, each once; low without any. */
export function worst(findings: readonly Finding[]): ShellRisk {
  const risk = findings.reduce<Risk>((highest, finding) => (finding.risk > highest ? finding.risk : highest), Risk.LOW);
  return {
    risk,
    reasons: [...new Set(findings.filter((finding) => finding.risk === risk && risk !== Risk.LOW).map((finding) => finding.reason))],
  };
}

export const high = (reason: string): Finding => ({ risk: Risk.HIGH, reason });
export const medium = (reason: string): Finding => ({ risk: Risk.MEDIUM, reason });
