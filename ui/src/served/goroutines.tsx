// Every goroutine, by stack, however many: the server searches and cuts.

import { useState } from "preact/hooks";
import { count, plural } from "../format.ts";
import { GroupCard } from "../snapshot/goroutines.tsx";
import { useAnswer, useSettled } from "./asked.ts";
import { Answer } from "./parts.tsx";
import type { GoroutinesPage, ServedSource } from "./source.ts";

const GROUPS = 20;

/** The groups with a search and pages. */
export function EveryGoroutine({ source }: { source: ServedSource }) {
  const [typed, type] = useState("");
  const [offset, go] = useState(0);
  const search = useSettled(typed);
  const query = new URLSearchParams({ limit: String(GROUPS), offset: String(offset) });
  if (search) query.set("search", search);
  const asked = useAnswer<GoroutinesPage>(source, `api/goroutines?${query}`, true);
  return (
    <section id="every-goroutine" class="asked-panel" aria-labelledby="every-goroutine-head">
      <h2 id="every-goroutine-head">Every goroutine, by stack</h2>
      <p class="asked-filters">
        <label for="every-goroutine-search">State, function or file holds</label>{" "}
        <input
          id="every-goroutine-search"
          value={typed}
          maxLength={200}
          spellcheck={false}
          onInput={(event) => {
            type(event.currentTarget.value);
            go(0);
          }}
        />
      </p>
      <Answer asked={asked}>
        {(page) => (
          <>
            <div class="groups">
              {page.groups.map((group, at) => (
                <GroupCard key={`${page.offset + at} ${group.ids[0]}`} group={group} />
              ))}
            </div>
            <p class="asked-pages">
              <button type="button" disabled={!offset} onClick={() => go(Math.max(offset - GROUPS, 0))}>
                Back
              </button>{" "}
              <span id="every-goroutine-where">
                {page.groups.length ? `${count(page.offset + 1)} to ${count(page.offset + page.groups.length)} of ` : ""}
                {plural(page.matching, "group")}
              </span>{" "}
              <button type="button" disabled={offset + GROUPS >= page.matching} onClick={() => go(offset + GROUPS)}>
                On
              </button>
            </p>
          </>
        )}
      </Answer>
    </section>
  );
}
