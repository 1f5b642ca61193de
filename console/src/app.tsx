// The frame around every page: who is signed in, where one can go, and what the server last said.
import { Component, lazy, Suspense, useEffect, useRef, type ReactNode } from "react";
import { Button } from "react-aria-components";

import { useIdle } from "./api/idle";
import { LiveProvider } from "./api/live";
import { useMay, useMe, useSession, type Scope } from "./api/session";
import { pages, PageIcon, type Page } from "./pages";
import SignIn from "./pages/sign-in/sign-in";
import { Icon } from "./parts/icon";
import { LiveBadge } from "./parts/live-badge";
import { Notices, NoticesProvider } from "./parts/notices";
import { PendingActs, PendingProvider } from "./parts/pending";
import { Refused } from "./parts/refused";
import { Waiting } from "./parts/states";
import { Link, usePlace } from "./router";

const FirstSteps = lazy(() => import("./pages/account/first-steps"));

export function App() {
  const { me } = useSession();
  useIdle();
  if (me === undefined) return <Waiting what="Asking the server who you are" />;
  if (me === null) return <SignIn />;
  if (me.first) {
    return (
      <Suspense fallback={<Waiting what="Opening the first steps" />}>
        <FirstSteps />
      </Suspense>
    );
  }
  return (
    <LiveProvider>
      <NoticesProvider>
        <PendingProvider>
          <Shell />
        </PendingProvider>
      </NoticesProvider>
    </LiveProvider>
  );
}

function Shell() {
  const { parts } = usePlace();
  const may = useMay();
  const me = useMe();
  // What cannot be read is not offered; its address says which right is missing.
  const offered = pages.filter((page) => isFor(page, may) && (me.kind === "account" || !page.ofAccounts));
  // Who may not see the overview begins with what they may see.
  const page = parts.length === 0 ? offered[0] : pages.find((page) => page.path === parts[0]);
  return (
    <div className="shell">
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <header className="side">
        <Link href="/" className="mark">
          <Icon name="mark" />
          <span>Palisade</span>
        </Link>
        <nav aria-label="Pages">
          <ul>
            {offered.map((each) => (
              <li key={each.path}>
                <Link href={`/${each.path}`} aria-current={each === page ? "page" : undefined}>
                  <PageIcon page={each} />
                  <span>{each.name}</span>
                </Link>
              </li>
            ))}
          </ul>
        </nav>
        <Account />
      </header>
      <main id="main" tabIndex={-1}>
        <PendingActs />
        <Refused />
        <Guarded key={page?.path ?? "nowhere"}>
          {page ? <Shown page={page} /> : <Nowhere />}
        </Guarded>
      </main>
      <Notices />
    </div>
  );
}

/** Whether there is something on a page for whoever may do this. */
function isFor(page: Page, may: (scope: Scope) => boolean): boolean {
  return page.needs.every(may) && (!page.needsOne || page.needsOne.some(may));
}

function Account() {
  const me = useMe();
  const { signOut } = useSession();
  return (
    <div className="account">
      <LiveBadge />
      <p className="who">
        <span className="quiet">{me.kind === "token" ? "API token" : me.roles.join(", ") || "no role"}</span>
        {me.kind === "account" ? <Link href="/account">{me.name}</Link> : <strong>{me.name}</strong>}
      </p>
      <Button className="button quiet-button" onPress={() => void signOut()}>
        <Icon name="leave" />
        Sign out
      </Button>
    </div>
  );
}

function Shown({ page }: { page: Page }) {
  const may = useMay();
  const { parts } = usePlace();
  const missing = isFor(page, may) ? [] : [...page.needs.filter((scope) => !may(scope)), ...(page.needsOne ?? [])];
  const place = parts.join("/");
  const first = useRef(true);

  useEffect(() => {
    document.title = `${[parts[1], page.name].filter(Boolean).join(" · ")} · Palisade`;
    // Whoever reads by ear or by keyboard is taken to the new page, but not on the first load.
    if (!first.current) document.getElementById("main")?.focus({ preventScroll: true });
    first.current = false;
  }, [place, page.name]); // eslint-disable-line

  if (missing.length > 0) {
    return (
      <section className="state">
        <h1>{page.name}</h1>
        <p>
          This page needs the scope <code>{missing.join(page.needsOne ? " or " : ", ")}</code>, which you do not have. Ask an administrator of this
          server for it, or sign in as somebody who has it.
        </p>
      </section>
    );
  }
  return (
    <Suspense fallback={<Waiting what={`Opening ${page.name}`} />}>
      <page.View />
    </Suspense>
  );
}

function Nowhere() {
  return (
    <section className="state">
      <h1>There is no such page</h1>
      <p>
        The address leads nowhere. <Link href="/">Go to the overview</Link>, or take a page from the list.
      </p>
    </section>
  );
}

/** A page that breaks does not take the others with it. */
class Guarded extends Component<{ children: ReactNode }, { failed: Error | null }> {
  override state = { failed: null as Error | null };

  static getDerivedStateFromError(failed: Error) {
    return { failed };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <section className="state" role="alert">
        <h1>This page broke</h1>
        <p>
          Nothing was lost or changed. If the server was updated meanwhile, load the page again. If it stays so, tell us
          what it says: <code>{this.state.failed.message}</code>
        </p>
        <Button className="button" onPress={() => location.reload()}>
          Load it again
        </Button>
      </section>
    );
  }
}
