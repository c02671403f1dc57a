// What the pack of a snapshot holds (src/mapscope/report/page/snapshot.py), with the names of its values.

import type { Pack, Section } from "../pack.ts";

export interface Part {
  id: string;
  label: string;
  bytes: number;
  why: string;
  leads: string;
}

export interface Step {
  kind: string;
  label: string;
  field: string | null;
  address: string | null;
  goroutine: number | null;
}

export interface Finding {
  rule: string;
  title: string;
  bytes: number;
  subject: string;
  type: string | null;
  maps: number;
  confidence: string;
  why: string;
  evidence: Record<string, number | string>;
  advice: { text: string; code: string };
  part_of: string | null;
  chain: Step[] | null;
  retained_bytes: number | null;
  dominator: Step | null;
  goroutine: number | null;
  group: number | null;
}

export interface Iterator {
  address: string;
  map: string;
  type: string | null;
  place: string;
  goroutine: number | null;
  frame: string | null;
  called_from: string | null;
  status: string | null;
  wait_reason: string | null;
  wait_seconds: number | null;
  state: string;
  liveness: string;
  position: number;
  positions: number;
  detached: string | null;
  detached_bytes: number;
  pinned_bytes: number;
  sole_owner: boolean;
  group: number | null;
}

export interface Frame {
  function: string;
  file: string;
  line: number;
  inlined: boolean;
}

export interface Group {
  count: number;
  ids: number[];
  status: string;
  wait_reason: string | null;
  wait_seconds: number | null;
  system: boolean;
  created_by: string | null;
  frames: Frame[];
  frames_left_out: number;
  problem: string | null;
  iterators: number;
  pinned_bytes: number;
  maps: number | null;
  map_bytes: number | null;
}

export interface Suspect {
  step: Step;
  count: number;
  retained_bytes: number;
  shallow_bytes: number;
  chain: Step[];
  gathers: Step[];
}

export interface Values {
  evidence: {
    path: string;
    kind: string;
    size_bytes: number;
    executable: string | null;
    executable_found_by: string;
    build_id: string | null;
    missing: string[];
    warnings: string[];
    pause_seconds: number | null;
    redacted: boolean;
  };
  process: { go_version: string; arch: string; pid: number | null; stripped: boolean; has_dwarf: boolean };
  heap: {
    live_bytes: number;
    live_objects: number;
    dead_bytes: number;
    dead_objects: number;
    runtime: Record<string, number | null> | null;
    reconciliation: Record<string, number> | null;
  };
  verdict: {
    maps: number;
    map_bytes: number;
    waste_bytes: number;
    possible_waste_bytes: number;
    findings: number;
    rules: Record<string, { findings: number; bytes: number }>;
  };
  notes: string[];
  next: string[];
  thresholds: Record<string, number>;
  parts: Part[];
  findings: Finding[];
  findings_rest: { findings: number; bytes: number };
  iterators: Iterator[];
  iterators_rest: number;
  suspects: Suspect[];
  goroutines: {
    goroutines: number;
    known: boolean;
    groups: Group[];
    rest: { groups: number; goroutines: number };
  };
  maps_rest: { maps: number; count: number; bytes: number; waste_bytes: number };
  looked_at: number;
  dominators_rest: { total_bytes: number; rest: number; rest_bytes: number } | null;
  types_rest: { types: number; objects: number; bytes: number; untyped_objects: number; untyped_bytes: number };
}

/** The data of a snapshot's page. */
export class Model {
  readonly values: Values;
  readonly maps: Section;
  private readonly rows: ReadonlyMap<string, number>;

  constructor(readonly pack: Pack) {
    this.values = pack.values as unknown as Values;
    this.maps = pack.section("maps");
    const address = this.maps.col("address");
    const rows = new Map<string, number>();
    for (let row = 0; row < this.maps.rows; row++) rows.set(address.hex(row), row);
    this.rows = rows;
  }

  /** The row of the map at an address; -1 where the page has none. */
  rowOf(address: string): number {
    return this.rows.get(address) ?? -1;
  }

  /** Type of a map in words. */
  typeOf(row: number): string {
    return this.maps.col("type").text(row) ?? "map of unknown type";
  }

  /** The chain to a map; null where it is not known. */
  chainOf(row: number): Step[] | null {
    if (!this.maps.col("held").number(row)) return null;
    const at = this.maps.col("chain").number(row);
    const steps = this.pack.section("steps");
    const codes = this.pack.section("chains").col("step");
    const out: Step[] = [];
    for (let code = at; code < at + this.maps.col("steps").number(row); code++) out.push(stepAt(steps, codes.number(code)));
    return out;
  }

  /** The nearest step of every chain to a map. */
  dominatorOf(row: number): Step | null {
    const code = this.maps.col("dominator").number(row);
    return code < 0 ? null : stepAt(this.pack.section("over"), code);
  }

  /** Rows of a section whose column `map` names a map. */
  about(section: string, row: number): number[] {
    const column = this.pack.section(section).col("map");
    const out: number[] = [];
    for (let at = 0; at < column.length; at++) if (column.number(at) === row) out.push(at);
    return out;
  }
}

function stepAt(steps: Section, row: number): Step {
  const address = steps.col("address");
  const goroutine = steps.col("goroutine").number(row);
  return {
    kind: steps.col("kind").text(row) ?? "unknown",
    label: steps.col("label").text(row) ?? "",
    field: steps.col("field").text(row),
    address: address.number(row) ? address.hex(row) : null,
    goroutine: goroutine || null,
  };
}
