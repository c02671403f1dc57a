// Every kind of page. A new one: a file here that calls register(kind, Page), and a line below.
import "./snapshot.tsx";
import "./served.tsx";
import "./diff.tsx";
import "./profile.tsx";
import "./profilediff.tsx";
import "./lab.tsx";
import "./history.tsx";
