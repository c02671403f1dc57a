// The source of a page that `mapscope serve` has sent: the report as a pack, and an answer to every question.

import { openPack, type Pack } from "../pack.ts";
import type { Group } from "../snapshot/model.ts";
import { openers, type Source } from "../source.ts";

/** One step of a chain, as in `mapscope chain -f json`. */
export interface Step {
  readonly kind: string;
  readonly address: string | null;
  readonly type: string | null;
  readonly field: string | null;
  readonly name: string | null;
  readonly goroutine: number | null;
}

/** What lies at one address (report/address_document.py). */
export interface Place {
  readonly address: string;
  readonly kind: string;
  readonly words: string;
  readonly start: string | null;
  readonly offset: number;
  readonly bytes: number;
  readonly type: string | null;
  readonly field: string | null;
  readonly name: string | null;
  readonly uncertain: boolean;
  readonly span: {
    readonly address: string;
    readonly bytes: number;
    readonly slots: number;
    readonly slot_bytes: number;
    readonly pointers: boolean;
  } | null;
  readonly map: { readonly address: string; readonly type: string | null; readonly part: string } | null;
  readonly is_map: boolean;
  readonly chain: readonly Step[] | null;
  readonly retained_bytes: number | null;
  readonly dominator: Step | null;
  readonly can_show: boolean;
}

/** Chains that agree up to here. */
export interface ChainNode {
  readonly step: Step;
  readonly chains: number;
  readonly objects: number;
  readonly bytes: number;
  readonly children: readonly ChainNode[];
}

/** Every way to an object. */
export interface Chains {
  readonly all: readonly ChainNode[] | null;
  readonly chains: number;
  readonly more: number;
}

/** A few contents of an object or map. */
export interface Contents {
  readonly entries: readonly { readonly key: string; readonly value: string }[];
  readonly more: number;
  readonly redacted: boolean;
}

/** The dominator tree right below one node. */
export interface Branch {
  readonly node: number;
  readonly retained_bytes: number;
  readonly children: number;
  readonly rows: readonly {
    readonly node: number;
    readonly step: Step;
    readonly retained_bytes: number;
    readonly shallow_bytes: number;
    readonly below: boolean;
  }[];
  readonly rest_bytes: number;
}

/** A page of the table of maps. */
export interface MapsPage {
  readonly matching: number;
  readonly total: number;
  readonly offset: number;
  readonly maps: readonly {
    readonly address: string;
    readonly type: string | null;
    readonly state: string;
    readonly confidence: string;
    readonly count: number;
    readonly capacity: number;
    readonly bytes: { readonly total: number };
    readonly waste_bytes: number;
    readonly retained_bytes: number | null;
  }[];
}

/** A page of the types of live objects. */
export interface TypesPage {
  readonly matching: number;
  readonly types: readonly { readonly type: string; readonly objects: number; readonly bytes: number }[];
}

/** A page of the goroutines by stack. */
export interface GoroutinesPage {
  readonly matching: number;
  readonly offset: number;
  readonly groups: readonly Group[];
}

/** The server's own words on why there is no answer. */
export class RefusedError extends Error {
  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

const GONE = "The server does not answer: it has ended, or the connection to it has.";

/** Asks the server. Every address of the process can be asked for. */
export class ServedSource implements Source {
  readonly asks = true;

  private constructor(readonly pack: Pack) {}

  /** Fetches the data of the report. */
  static async open(): Promise<ServedSource> {
    return new ServedSource(openPack(await (await fetched("api/pack")).arrayBuffer()));
  }

  map(address: string): Promise<Pack | null> {
    return this.packed(`api/pack/map/${encodeURIComponent(address)}`);
  }

  object(address: string): Promise<Pack | null> {
    return this.packed(`api/pack/object/${encodeURIComponent(address)}`);
  }

  /** A document of the server. Throws RefusedError; gives up when `signal` says so, and so does the server. */
  async ask<T>(path: string, signal?: AbortSignal): Promise<T> {
    return (await (await fetched(path, signal)).json()) as T;
  }

  private async packed(path: string): Promise<Pack> {
    return openPack(await (await fetched(path)).arrayBuffer());
  }
}

async function fetched(path: string, signal?: AbortSignal): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { signal: signal ?? null, credentials: "omit", cache: "no-store", redirect: "error" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new RefusedError(GONE, "Start mapscope serve again, and open the URL that it prints.");
  }
  if (!answer.ok) {
    let said: { error?: unknown; hint?: unknown } = {};
    try {
      said = (await answer.json()) as typeof said;
    } catch {
      // no document: the server's loop itself has refused
    }
    throw new RefusedError(String(said.error ?? `status ${answer.status}`), String(said.hint ?? ""));
  }
  return answer;
}

/** Words of what was thrown. */
export function wordsOf(error: unknown): string {
  if (error instanceof RefusedError) return error.hint ? `${error.message} (${error.hint})` : error.message;
  return error instanceof Error ? error.message : String(error);
}

openers.unshift(() => (document.getElementById("mapscope-served") ? ServedSource.open() : Promise.resolve(null)));
