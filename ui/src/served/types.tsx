// Live objects by type.

import { useState } from "preact/hooks";
import { count } from "../format.ts";
import { useAnswer, useSettled } from "./asked.ts";
import { Answer, Size } from "./parts.tsx";
import type { ServedSource, TypesPage } from "./source.ts";

/** The types that take most, and a search among all. */
export function Types({ source }: { source: ServedSource }) {
  const [typed, type] = useState("");
  const search = useSettled(typed);
  const query = new URLSearchParams({ limit: "50" });
  if (search) query.set("search", search);
  const asked = useAnswer<TypesPage>(source, `api/types?${query}`, true);
  return (
    <section id="every-type" class="asked-panel" aria-labelledby="every-type-head">
      <h2 id="every-type-head">Objects by type</h2>
      <p class="asked-filters">
        <label for="every-type-search">Type holds</label>{" "}
        <input id="every-type-search" value={typed} maxLength={200} spellcheck={false} onInput={(event) => type(event.currentTarget.value)} />
      </p>
      <Answer asked={asked}>
        {(page) => (
          <>
            <div class="asked-scroll" tabIndex={0} role="region" aria-label="Objects by type, the largest">
              <table>
                <thead>
                  <tr>
                    <th scope="col">type</th>
                    <th scope="col" class="asked-number">
                      objects
                    </th>
                    <th scope="col" class="asked-number">
                      bytes
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {page.types.map((row, at) => (
                    <tr key={at}>
                      <td>
                        <code>{row.type}</code>
                      </td>
                      <td class="asked-number">{count(row.objects)}</td>
                      <td class="asked-number">
                        <Size of={row.bytes} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            <p class="dim">
              {count(page.types.length)} of {count(page.matching)} types
            </p>
          </>
        )}
      </Answer>
    </section>
  );
}
