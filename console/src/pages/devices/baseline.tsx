// What is usual for a device: each metric's band and what was measured last, as a chart and as a table.
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { ApiError, get, type Schemas } from "../../api/client";
import { Age, Empty, Loaded } from "../../parts/states";
import { Table } from "../../parts/table";
import { Tag, type Tone } from "../../parts/tags";
import { clockTime } from "../../parts/time";

type Metric = Schemas["BaselineDeviceMetric"];

const STATES: Record<Metric["state"], { word: string; tone: Tone }> = {
  off: { word: "Off", tone: "plain" },
  learning: { word: "Learning", tone: "info" },
  watching: { word: "Watching", tone: "good" },
  alarming: { word: "Alarming", tone: "bad" },
};

const NUMBER = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

const nameOf = (metric: Metric) => {
  const words = metric.metric.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

export default function Baseline({ id }: { id: string }) {
  const baseline = useQuery({
    queryKey: ["baseline", id],
    queryFn: async ({ signal }) => {
      try {
        return await get("/api/v1/baselines/devices/{id}", { at: { id }, signal });
      } catch (error) {
        // Nothing is known of it: that is an answer too.
        if (error instanceof ApiError && error.status === 404) return null;
        throw error;
      }
    },
    refetchInterval: 30_000,
  });
  return (
    <Loaded query={baseline} what="Reading the baseline">
      {(found) => {
        if (found === null) return <Nothing />;
        const isKnown = (metric: Metric) => metric.usual != null || metric.last.length > 0;
        const watched = found.metrics.filter((metric) => metric.state !== "off");
        const metrics = watched.filter(isKnown);
        const unknown = watched.filter((metric) => !isKnown(metric));
        if (metrics.length === 0) return <Nothing />;
        return (
          <>
            <p className="panel-head">
              <span>
                {found.mode === "learning"
                  ? `What ${found.product} does is being learned: no alarm is raised yet.`
                  : "What leaves the band for long enough raises an alarm."}
              </span>
              <Age query={baseline} />
            </p>
            <div className="panels">
              {metrics.map((metric) => (
                <MetricPanel key={metric.metric} metric={metric} />
              ))}
            </div>
            {unknown.length > 0 && <p className="pager quiet">Not known yet: {unknown.map(nameOf).join(", ")}.</p>}
          </>
        );
      }}
    </Loaded>
  );
}

function Nothing() {
  return (
    <Empty title="Nothing is known of it yet">
      <p>
        A device that sends is learned by itself, five minutes at a time; <code>palisade baseline show</code> says how far it
        is.
      </p>
    </Empty>
  );
}

function range(of: Metric["usual"]): string {
  return of ? `${NUMBER.format(of.low)} to ${NUMBER.format(of.high)}` : "not known yet";
}

function MetricPanel({ metric }: { metric: Metric }) {
  const { word, tone } = STATES[metric.state];
  const name = nameOf(metric);
  return (
    <section className="panel" aria-label={name}>
      <div className="panel-head">
        <h2>{name}</h2>
        <Tag tone={tone}>{word}</Tag>
      </div>
      {metric.last.length > 1 && <Chart metric={metric} name={name} />}
      <dl className="facts">
        <dt>Usual at this hour</dt>
        <dd>{range(metric.usual)}</dd>
        <dt>Seen</dt>
        <dd>{range(metric.seen)}</dd>
        <dt>Learned</dt>
        <dd>{metric.learned} datapoints</dd>
      </dl>
      {metric.last.length > 0 && (
        <details>
          <summary>The last datapoints as a table</summary>
          <Table
            caption={name}
            isNarrow
            items={metric.last}
            id={(point) => point.at}
            columns={[
              { name: "Until", cell: (point) => clockTime(point.at) },
              { name: "Value", cell: (point) => NUMBER.format(point.value), kind: "number" },
            ]}
          />
        </details>
      )}
    </section>
  );
}

/** The colours of the page, as they are now. */
function colour(name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function Chart({ metric, name }: { metric: Metric; name: string }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const at = box.current;
    if (!at) return;
    const draw = () => {
      const ink = colour("ink-quiet");
      const times = metric.last.map((point) => Date.parse(point.at) / 1_000);
      const flat = (value: number | undefined) => times.map(() => value ?? null);
      const axis = { stroke: ink, grid: { stroke: colour("line") }, ticks: { stroke: colour("line") } };
      return new uPlot(
        {
          width: at.clientWidth,
          height: 180,
          legend: { show: false },
          cursor: { show: false },
          scales: { y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.1 : 1] } },
          axes: [axis, { ...axis, size: 56 }],
          series: [
            {},
            { label: "Most", stroke: colour("good-solid"), width: 1, points: { show: false } },
            { label: "Least", stroke: colour("good-solid"), width: 1, points: { show: false } },
            { label: name, stroke: colour("accent"), width: 2 },
          ],
          bands: [{ series: [1, 2], fill: colour("good-wash") }],
        },
        [times, flat(metric.usual?.high), flat(metric.usual?.low), metric.last.map((point) => point.value)],
        at,
      );
    };
    let plot = draw();
    const again = () => {
      plot.destroy();
      plot = draw();
    };
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const size = new ResizeObserver(() => plot.width !== at.clientWidth && again());
    size.observe(at);
    scheme.addEventListener("change", again);
    return () => {
      size.disconnect();
      scheme.removeEventListener("change", again);
      plot.destroy();
    };
  }, [metric, name]);
  return <div ref={box} className="chart" role="img" aria-label={`${name}: the last datapoints over the usual band; the same as the table below`} />;
}
