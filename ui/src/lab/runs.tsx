// What scenarios gave: what was expected, and what each release measured.

import { useMemo, useState } from "preact/hooks";
import { count, plural } from "../format.ts";
import { Choice, Mark } from "../kinds/bits.tsx";
import { Part } from "../parts/section.tsx";
import { type Check, type LabValues, type Run, VERDICTS } from "./model.ts";

export function Runs({ values }: { values: LabValues }) {
  const runs = values.runs ?? [];
  const [shown, set] = useState<"all" | "bad">("all");
  const bad = runs.filter((one) => !one.ok).length;
  const chosen = shown === "bad" ? runs.filter((one) => !one.ok) : runs;
  const names = [...new Set(chosen.map((one) => one.scenario))];
  return (
    <Part id="scenarios" title="Scenarios" lead="A Go program brings about one effect and tells the truth about its own maps; its core is analysed, and both are compared with what is expected of the release.">
      {bad ? (
        <Choice
          label="Which scenarios"
          options={[
            ["all", `all ${count(runs.length)}`],
            ["bad", `not as expected ${count(bad)}`],
          ]}
          value={shown}
          change={set}
        />
      ) : null}
      {names.map((name) => (
        <Scenario key={name} runs={chosen.filter((one) => one.scenario === name)} values={values} />
      ))}
      {values.rest ? <p class="dim">{plural(values.rest, "more run")} are not on this page.</p> : null}
    </Part>
  );
}

function numbers(check: Check): string {
  return Object.entries(check.numbers)
    .map(([name, value]) => `${name} ${typeof value === "number" ? count(value) : value}`)
    .join(", ");
}

function Scenario({ runs, values }: { runs: readonly Run[]; values: LabValues }) {
  const first = runs[0] as Run;
  const ok = runs.every((one) => one.ok);
  const expected = [...new Set(runs.flatMap((run) => run.checks.map((check) => check.what)))];
  const spoken = useMemo(() => {
    const ids = new Set(runs.flatMap((run) => run.checks.flatMap((check) => Object.keys(check.claims))));
    return (values.claims ?? []).filter((claim) => ids.has(String(claim.id)));
  }, [runs, values]);
  const observed = (run: Run, id: number) => {
    const found = new Set(run.checks.map((check) => check.claims[String(id)]).filter(Boolean));
    return [...found].join(" and ");
  };
  return (
    <article class={`card k-card k-is-${ok ? "good" : "bad"}`} data-scenario={first.scenario}>
      <header>
        <h3>
          <span class="mono">{first.scenario}</span> {first.section ? <span class="dim">§{first.section}</span> : null}
        </h3>
        {runs.map((run) => (
          <Mark key={run.go} tone={run.ok ? "good" : "bad"}>
            Go {run.go}: {run.ok ? "as expected" : run.failure ? "failed" : "not as expected"}
          </Mark>
        ))}
      </header>
      <p>{first.shows}</p>
      {runs
        .filter((run) => run.failure)
        .map((run) => (
          <p key={run.go} class="bad">
            Go {run.go}: {run.failure}
          </p>
        ))}
      {expected.length ? (
        <div class="table-box k-rows" role="region" aria-label={`What ${first.scenario} expects and measures`} tabIndex={0}>
          <table>
            <caption class="k-hidden">What {first.scenario} expects and measures</caption>
            <thead>
              <tr>
                <th scope="col">expected</th>
                {runs.map((run) => (
                  <th key={run.go} scope="col">
                    measured on Go {run.go}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {expected.map((what) => (
                <tr key={what}>
                  <th scope="row" class="k-wide">
                    {what}
                  </th>
                  {runs.map((run) => {
                    const check = run.checks.find((one) => one.what === what);
                    return (
                      <td key={run.go} class="k-wide" data-check={check ? String(check.ok) : undefined}>
                        {check ? (
                          <>
                            <Mark tone={check.ok ? "good" : "bad"}>{check.ok ? "holds" : "does not hold"}</Mark> {numbers(check)}
                          </>
                        ) : (
                          <span class="dim">not of this release</span>
                        )}
                      </td>
                    );
                  })}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
      {spoken.length ? (
        <div class="table-box k-rows" role="region" aria-label={`Claims that ${first.scenario} settles`} tabIndex={0}>
          <table>
            <caption class="k-hidden">Claims that {first.scenario} settles</caption>
            <thead>
              <tr>
                <th scope="col">claim of the article</th>
                {runs.map((run) => (
                  <th key={run.go} scope="col">
                    Go {run.go}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {spoken.map((claim) => (
                <tr key={claim.id} data-claim={claim.id}>
                  <th scope="row" class="k-wide">
                    {claim.id}. {claim.text} <span class="dim">§{claim.section}</span>
                  </th>
                  {runs.map((run) => {
                    const ledger = claim.verdicts[run.go] ?? "";
                    const said = observed(run, claim.id);
                    if (!said) return <td key={run.go} class="dim">{ledger === "moot" ? "moot" : "not said"}</td>;
                    return (
                      <td key={run.go}>
                        <Mark tone={VERDICTS[said] ?? ""}>{said}</Mark>{" "}
                        {said === ledger ? <span class="dim">as the ledger says</span> : <strong class="bad">the ledger says {ledger}</strong>}
                      </td>
                    );
                  })}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
    </article>
  );
}
