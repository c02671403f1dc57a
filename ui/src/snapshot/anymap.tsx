// The page of any map: from the pack of the report, or, where the source can be asked, from the answer about this map.

import { useEffect, useState } from "preact/hooks";
import type { Pack } from "../pack.ts";
import type { Source } from "../source.ts";
import { MapPage } from "./mappage.tsx";
import { Model } from "./model.ts";

type State = { readonly model: Model } | { readonly failed: string } | null;

export function AnyMap({ source, model, address }: { source: Source; model: Model; address: string }) {
  const [asked, set] = useState<State>(null);
  useEffect(() => {
    if (!source.asks) return;
    let wanted = true;
    source.map(address).then(
      (pack) => wanted && set({ model: pack ? new AskedModel(pack, model) : model }),
      (error: unknown) => wanted && set({ failed: error instanceof Error ? error.message : String(error) }),
    );
    return () => {
      wanted = false;
    };
  }, [source, model, address]);
  const there = asked !== null;
  useEffect(() => {
    if (there) document.getElementById("map-title")?.focus({ preventScroll: true });
  }, [there]);
  if (!source.asks) return <MapPage model={model} address={address} />;
  if (asked === null) {
    return (
      <p class="dim" role="status">
        The server is looking …
      </p>
    );
  }
  if ("model" in asked) return <MapPage model={asked.model} address={address} />;
  return (
    <article class="map-page">
      <p>
        <a href="#maps">← all maps</a>
      </p>
      <h1 tabIndex={-1} id="map-title">
        No page of this map
      </h1>
      <p role="alert">{asked.failed}</p>
    </article>
  );
}

/** The answer about one map; links lead to the other maps of the report too. */
class AskedModel extends Model {
  constructor(
    pack: Pack,
    private readonly whole: Model,
  ) {
    super(pack);
  }

  override rowOf(address: string): number {
    const own = super.rowOf(address);
    return own >= 0 ? own : this.whole.rowOf(address);
  }
}
