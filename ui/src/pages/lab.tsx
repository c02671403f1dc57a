// The pages of the lab: scenarios, claims judged anew, the ledger, curves.

import { count, plural } from "../format.ts";
import { Tiles, useAnchors } from "../kinds/bits.tsx";
import { Curves } from "../lab/curves.tsx";
import { Growths } from "../lab/growth.tsx";
import { Judgements, Ledger } from "../lab/ledger.tsx";
import type { LabValues } from "../lab/model.ts";
import { Runs } from "../lab/runs.tsx";
import { type Links, Masthead } from "../parts/masthead.tsx";
import { type PageProps, register } from "../registry.ts";
import "../style/kinds.css";

const TITLES = { run: "Scenarios", verify: "Claims judged anew", claims: "The ledger of claims", curve: "Curves" };

function Lab({ source }: PageProps) {
  const values = source.pack.values as unknown as LabValues;
  useAnchors();
  const links: Record<LabValues["what"], Links> = {
    run: [["scenarios", "Scenarios"], ...(values.growths?.length ? ([["growth", "A growth"]] as const) : [])],
    verify: [["claims", "Claims"]],
    claims: [["claims", "Claims"]],
    curve: [["curves", "Curves"]],
  };
  return (
    <>
      <Masthead title={`Lab: ${(TITLES[values.what] ?? "a page of another version").toLowerCase()}`} pack={source.pack} links={links[values.what] ?? []} />
      <main id="main" tabIndex={-1}>
        <Verdict values={values} />
        {values.runs ? <Runs values={values} /> : null}
        {values.growths?.length ? <Growths growths={values.growths} /> : null}
        {values.judgements ? <Judgements values={values} /> : null}
        {values.ledger ? <Ledger values={values} /> : null}
        <Curves pack={source.pack} values={values} />
      </main>
    </>
  );
}

function Verdict({ values }: { values: LabValues }) {
  return (
    <section class="k-head" aria-labelledby="verdict-title">
      <h1 id="verdict-title">{headline(values)}</h1>
      {values.runs ? (
        <Tiles
          tiles={[
            { id: "runs", name: "runs", value: count(values.runs.length), more: [...new Set(values.runs.map((one) => `Go ${one.go}`))].join(", ") },
            { id: "ok", name: "as expected", value: count(values.runs.filter((one) => one.ok).length) },
            {
              id: "checks",
              name: "comparisons that hold",
              value: count(values.runs.reduce((sum, one) => sum + one.checks.filter((check) => check.ok).length, 0)),
              more: `of ${count(values.runs.reduce((sum, one) => sum + one.checks.length, 0))}`,
            },
            { id: "claims", name: "claims of the article spoken of", value: count(values.claims?.length ?? 0) },
          ]}
        />
      ) : null}
      {values.judgements ? <Tiles tiles={tally(values.judgements.map((one) => one.result))} /> : null}
      {values.ledger ? (
        <>
          <p>Classic maps, up to Go 1.23:</p>
          <Tiles tiles={tally(values.ledger.map((one) => one.classic))} />
        </>
      ) : null}
    </section>
  );
}

function tally(words: readonly string[]) {
  const found = new Map<string, number>();
  for (const word of words) found.set(word, (found.get(word) ?? 0) + 1);
  return [...found].sort((a, b) => b[1] - a[1]).map(([word, many]) => ({ id: word, name: word, value: count(many) }));
}

function headline(values: LabValues): string {
  if (values.runs) {
    const bad = values.runs.filter((one) => !one.ok).length;
    return bad ? `${plural(bad, "run")} of ${count(values.runs.length)} not as expected` : `${plural(values.runs.length, "run")}, all as expected`;
  }
  if (values.judgements) {
    const bad = values.judgements.filter((one) => !one.stands).length;
    const what = plural(values.judgements.length, "claim");
    return bad ? `${count(bad)} of ${what} not as the ledger says` : `${what}, all as the ledger says`;
  }
  if (values.ledger) return plural(values.ledger.length, "claim");
  return values.axes ? `What maps keep: ${values.axes.what}` : TITLES[values.what];
}

register("lab", Lab);
