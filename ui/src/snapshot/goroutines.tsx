// Goroutines by stack, those that hold iterators first.

import { useState } from "preact/hooks";
import { count, duration, plural } from "../format.ts";
import { Bytes } from "../parts/numbers.tsx";
import { usePrinting } from "../parts/printing.ts";
import { Field, Part } from "../parts/section.tsx";
import { Stack } from "../parts/stack.tsx";
import type { Group, Model } from "./model.ts";

const SHOWN = 20;

export function Goroutines({ model }: { model: Model }) {
  const { groups, rest, goroutines } = model.values.goroutines;
  const [shown, show] = useState(SHOWN);
  const [search, look] = useState("");
  const printing = usePrinting();
  const wanted = search.trim().toLowerCase();
  const found = groups.filter((group) => !wanted || words(group).includes(wanted));
  const cards = found.slice(0, printing ? 2 * SHOWN : shown);
  return (
    <Part id="goroutines" title="Goroutines" lead={`${plural(goroutines, "goroutine")} in ${plural(groups.length + rest.groups, "group")} of one stack each.`}>
      <form class="filters" onSubmit={(event) => event.preventDefault()} aria-label="Which goroutines">
        <Field id="goroutines-search" label="Search">
          <input
            id="goroutines-search"
            type="search"
            value={search}
            placeholder="function, file or state"
            onInput={(event) => look(event.currentTarget.value)}
          />
        </Field>
      </form>
      <div class="groups">
        {cards.map((group) => (
          <GroupCard key={group.ids[0]} group={group} />
        ))}
      </div>
      {found.length ? null : <p class="dim">Nothing matches.</p>}
      {cards.length < found.length ? (
        <button type="button" onClick={() => show(shown + 5 * SHOWN)}>
          Show {plural(Math.min(found.length - cards.length, 5 * SHOWN), "more group")}
        </button>
      ) : null}
      {rest.groups ? (
        <p class="dim">
          {plural(rest.goroutines, "goroutine")} in {plural(rest.groups, "smaller group")} are not listed.
        </p>
      ) : null}
    </Part>
  );
}

function words(group: Group): string {
  const frames = group.frames.map((frame) => `${frame.function} ${frame.file}`).join(" ");
  return `${group.status} ${group.wait_reason ?? ""} ${group.created_by ?? ""} ${frames}`.toLowerCase();
}

export function GroupCard({ group }: { group: Group }) {
  const own = group.frames.find((frame) => !/^(runtime|internal|sync|syscall|net|os|time)[./]/.test(frame.function)) ?? group.frames[0];
  return (
    <details class="card group" data-count={group.count} data-iterators={group.iterators}>
      <summary>
        <span class="num group-count">{count(group.count)} ×</span> <span class="mono">{own ? own.function : "no frames"}</span>{" "}
        <span class="dim">
          {group.status}
          {group.wait_reason ? `, ${group.wait_reason}` : ""}
          {(group.wait_seconds ?? 0) < 1 ? "" : `, at least ${duration(group.wait_seconds ?? 0)}`}
          {group.system ? ", the runtime's own" : ""}
        </span>
        {group.iterators ? (
          <span class="tag sure-exact">
            {plural(group.iterators, "iterator")}, <Bytes n={group.pinned_bytes} />
          </span>
        ) : null}
        {group.maps ? (
          <span class="tag">
            {plural(group.maps, "map")}, <Bytes n={group.map_bytes ?? 0} />
          </span>
        ) : null}
      </summary>
      <Stack frames={group.frames} leftOut={group.frames_left_out} />
      {group.created_by ? (
        <p class="dim">
          made by <span class="mono">{group.created_by}</span>
        </p>
      ) : null}
      {group.problem ? <p class="warn">{group.problem}</p> : null}
      <p class="dim">
        goroutine {group.ids.join(", ")}
        {group.count > group.ids.length ? ` and ${count(group.count - group.ids.length)} more` : ""}
      </p>
    </details>
  );
}
