// The data of the pages of profiles (src/mapscope/report/page/profile.py, report/profile_document.py).

export interface Sums {
  inuse_bytes: number;
  inuse_objects: number;
  alloc_bytes: number;
  alloc_objects: number;
}

export interface ProfileSource {
  origin: string;
  form: string;
  kind: string;
  samples: number;
  period: number;
  time_nanos: number | string | null;
}

export interface Rise {
  function: string;
  type: string | null;
  first_bytes: number;
  last_bytes: number;
}

export interface Suspect {
  indicator: string;
  function: string;
  file: string;
  line: number;
  type: string | null;
  told: string;
  smaller_bytes: number | null;
  larger_bytes: number | null;
  goroutines: number | null;
  state: string | null;
  wait_minutes: number | null;
  rises: Rise[];
  text: string;
}

export interface Indicator {
  id: string;
  title: string;
  value: number | null;
  unit: string;
  low: number | null;
  high: number | null;
  threshold: number | null;
  text: string;
}

export interface Article {
  id: string;
  title: string;
  value: number | null;
  unit: string;
  threshold: number | null;
  article_says: string;
  verdict: string;
}

export interface Loop {
  function: string;
  file: string;
  line: number;
  type: string | null;
  told: string;
  state: string | null;
  goroutines: number;
  wait_minutes: number | null;
  lasting: boolean;
}

export interface Goroutines {
  origin: string;
  kind: string;
  total: number;
  groups: { function: string; file: string; line: number; state: string | null; goroutines: number; wait_minutes: number | null }[];
  rest: number;
}

export interface ProfileValues {
  profiles: ProfileSource[];
  newest: string | null;
  executable: string | null;
  go_version: string | null;
  heap: Sums;
  maps: Sums;
  told: Record<string, number>;
  parts: { part: string; sums: Sums }[];
  indicators: Indicator[];
  article: Article[];
  rising: Rise[];
  suspects: Suspect[];
  suspects_rest: number;
  loops: Loop[];
  loops_rest: number;
  sizes: { size_bytes: number; part: string; type: string | null; inuse_bytes: number; inuse_objects: number }[];
  sizes_rest: number;
  goroutines: Goroutines[];
  sites_rest: Sums & { sites: number };
  series?: { profiles: number; shown: number; known_times: boolean; places: number; rest: number };
  notes: string[];
  next: string[];
}

export interface DiffValues {
  old: ProfileSource;
  new: ProfileSource;
  executable: string | null;
  hours: number | null;
  old_heap: Sums;
  new_heap: Sums;
  old_maps: Sums;
  new_maps: Sums;
  unchanged_sites: number;
  new_suspects: Suspect[];
  new_suspects_rest: number;
  gone_suspects: Suspect[];
  gone_suspects_rest: number;
  same_suspects: Suspect[];
  same_suspects_rest: number;
  moves_rest: { sites: number; old_bytes: number; new_bytes: number };
  notes: string[];
  next: string[];
}

export const NO_TYPE = "type not known";
