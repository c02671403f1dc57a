import { Masthead } from "../parts/masthead.tsx";
import { type PageProps, register } from "../registry.ts";

function Snapshot({ source }: PageProps) {
  return (
    <>
      <Masthead title="Report" pack={source.pack} links={[]} />
      <main id="main" tabIndex={-1}>
        <h1>Report</h1>
      </main>
    </>
  );
}

register("snapshot", Snapshot);
