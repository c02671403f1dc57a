// The data of the pages of the lab (src/mapscope/report/page/lab.py).

export interface Check {
  what: string;
  ok: boolean;
  numbers: Record<string, number | string>;
  claims: Record<string, string>;
}

export interface Run {
  scenario: string;
  section: string | null;
  shows: string;
  go: string;
  ok: boolean;
  failure: string | null;
  kept: string | null;
  checks: Check[];
}

export interface SpokenClaim {
  id: number;
  section: string;
  text: string;
  verdicts: Record<string, string>;
}

export interface Step {
  said: string;
  facts: Record<string, number>;
  old: number[];
  cells: number[];
  slots: number[];
  bytes: number;
  old_bytes: number;
}

export interface Growth {
  release: string;
  swiss: boolean;
  steps: Step[];
}

export interface Judgement {
  go: string;
  claim: number;
  section: string;
  text: string;
  verdict: string;
  result: string;
  stands: boolean;
  evidence: string;
  settled_by: string;
}

export interface LedgerClaim {
  id: number;
  section: string;
  claim: string;
  left_out: boolean;
  classic: string;
  swiss: string;
  exceptions: Record<string, string>;
  why: string;
  why_swiss: string;
  source: { file: string; name: string; first: string; last: string | null }[];
  settled_by: string;
  settled: string | null;
}

export interface LabValues {
  what: "run" | "verify" | "claims" | "curve";
  rest?: number;
  runs?: Run[];
  claims?: SpokenClaim[];
  growths?: Growth[];
  judgements?: Judgement[];
  ledger?: LedgerClaim[];
  axes?: { what: string; title: string; x: string; y: string; unit: "bytes" | "share"; log2: boolean };
  summaries?: string[];
  thinned?: boolean;
}

/** The colour of a verdict on a claim. */
export const VERDICTS: Record<string, string> = { true: "good", false: "bad", partly: "warn", moot: "" };
