// The page of one snapshot: the whole report, or one of its maps.

import { useEffect, useMemo, useRef } from "preact/hooks";
import { type Links, Masthead } from "../parts/masthead.tsx";
import { type PageProps, register } from "../registry.ts";
import { useRoute } from "../route.ts";
import { AnyMap } from "../snapshot/anymap.tsx";
import { Findings } from "../snapshot/findings.tsx";
import { Goroutines } from "../snapshot/goroutines.tsx";
import { DominatorsPart } from "../snapshot/icicle.tsx";
import { Iterators } from "../snapshot/iterators.tsx";
import { Maps } from "../snapshot/maptable.tsx";
import { Model } from "../snapshot/model.ts";
import { Remarks } from "../snapshot/remarks.tsx";
import { Owners } from "../snapshot/treemap.tsx";
import { Types } from "../snapshot/types.tsx";
import { Verdict } from "../snapshot/verdict.tsx";

const LINKS: Links = [
  ["findings", "Findings"],
  ["owners", "Owners"],
  ["maps", "Maps"],
  ["iterators", "Iterators"],
  ["goroutines", "Goroutines"],
  ["dominators", "Dominators"],
  ["types", "Types"],
  ["remarks", "Remarks"],
];

function Snapshot({ source }: PageProps) {
  const model = useMemo(() => new Model(source.pack), [source]);
  const route = useRoute();
  const map = route.path[0] === "map" ? (route.path[1] ?? "") : null;
  const place = useRef(0);
  const before = useRef<string | null>(null);
  useEffect(() => {
    if (map !== null) {
      scrollTo(0, 0);
      document.getElementById("map-title")?.focus({ preventScroll: true });
    } else {
      if (before.current !== null) scrollTo(0, place.current);
      const name = route.path[0];
      if (name) document.getElementById(name)?.scrollIntoView();
    }
    before.current = map;
  }, [map, route]);
  useEffect(() => {
    const kept = () => {
      if (before.current === null) place.current = scrollY;
    };
    addEventListener("scroll", kept, { passive: true });
    return () => removeEventListener("scroll", kept);
  }, []);
  return (
    <>
      <Masthead title="Snapshot" pack={source.pack} links={LINKS} />
      <main id="main" tabIndex={-1}>
        {map === null ? null : <AnyMap key={map} source={source} model={model} address={map} />}
        <div hidden={map !== null}>
          <Verdict model={model} />
          <Findings model={model} route={route} />
          <Owners model={model} />
          <Maps model={model} route={route} />
          <Iterators model={model} />
          <Goroutines model={model} />
          <DominatorsPart model={model} />
          <Types model={model} />
          <Remarks model={model} />
        </div>
      </main>
    </>
  );
}

register("snapshot", Snapshot);
