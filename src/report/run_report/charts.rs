//! The charts of a run: what happened when, and how long answers took.

use std::time::Duration;

use crate::report::format;
use crate::report::run_report::chart::{Axis, Chart, Hue, PlotShape, Series};
use crate::report::run_report::data::ReportData;
use crate::report::run_report::history::{TimeSlice, merge_pairs};
use crate::report::run_report::page;
use crate::report::run_stats::{LatencySummary, StatsSnapshot};

/// More points than this are noise on a chart of this size.
const POINTS: usize = 120;
/// Bars of the histogram: the fewer answers, the wider.
const BARS: std::ops::RangeInclusive<f64> = 12.0..=48.0;
/// The share of answers that may be faster than what is drawn.
const FASTEST: f64 = 0.02;
/// Below this many answers a percentile means little; slices are taken together until they have them.
const ENOUGH: u64 = 20;
/// So few points are no course any more.
const FEW: usize = 12;
const LABELS: usize = 6;

type Points = Vec<(f64, f64)>;

/// Every chart that the run has figures for: those over time first.
pub(crate) fn charts(data: &ReportData<'_>) -> Vec<String> {
    let mut slices = data.history.slices();
    while slices.len() > POINTS {
        slices = merge_pairs(&slices);
    }
    let mut figures = Vec::new();
    if slices.len() > 1 && data.stats.counters.done() > 0 {
        let time = Time::of(&slices);
        let rows = data.summary.counts.rows as f64;
        figures.push(progress(&slices, &time, rows));
        figures.push(throughput(&steady(slices.clone(), data.stats.latency), &time));
        if data.stats.latency.is_some() {
            figures.push(percentiles(&slices, &time));
        }
        figures.push(concurrency(&slices, &time));
    }
    if let Some(latency) = data.stats.latency {
        figures.push(histogram(&data.stats, latency));
    }
    figures
}

/// The axis of time, in the unit that its labels are in.
struct Time {
    end: f64,
    unit: f64,
    name: &'static str,
}

impl Time {
    fn of(slices: &[TimeSlice]) -> Self {
        let end = slices.last().map_or(0.0, |slice| slice.to.as_secs_f64());
        let (unit, name) = match end {
            end if end <= 180.0 => (1.0, "s"),
            end if end <= 3.0 * 3_600.0 => (60.0, "min"),
            end if end <= 3.0 * 86_400.0 => (3_600.0, "h"),
            _ => (86_400.0, "d"),
        };
        Self { end: end / unit, unit, name }
    }

    fn at(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.unit
    }

    fn middle(&self, slice: &TimeSlice) -> f64 {
        self.at(slice.from + slice.length() / 2)
    }

    fn text(&self, value: f64) -> String {
        if value == 0.0 { "0".into() } else { format!("{} {}", short(value), self.name) }
    }

    /// A chart over time, with its marks below `top`.
    fn draw(&self, label: &str, (top, text): (f64, &dyn Fn(&f64) -> String), series: Vec<Series>) -> String {
        let time = |value: &f64| self.text(*value);
        let x = Axis { from: 0.0, to: self.end, labels: LABELS, text: &time };
        let y = Axis { from: 0.0, to: top, labels: LABELS, text };
        Chart { label, x, y, series }.svg()
    }

    /// Pauses behind everything, each as long as it was.
    fn pauses(&self, slices: &[TimeSlice]) -> Option<Series> {
        let paused = |slice: &TimeSlice| {
            let from = self.at(slice.from);
            (from, from + self.at(slice.paused.min(slice.length())))
        };
        let stretches: Points = slices.iter().filter(|slice| !slice.paused.is_zero()).map(paused).collect();
        (!stretches.is_empty()).then_some(Series(Hue::Shade, PlotShape::Bands(stretches)))
    }

    /// A value in the middle of each slice, and level from there to both ends.
    fn points(&self, slices: &[TimeSlice], value: impl Fn(&TimeSlice) -> f64) -> Points {
        let [Some(first), Some(last)] = [slices.first(), slices.last()] else { return Points::new() };
        let middles = slices.iter().map(|slice| (self.middle(slice), value(slice)));
        std::iter::once((self.at(first.from), value(first)))
            .chain(middles)
            .chain([(self.at(last.to), value(last))])
            .collect()
    }
}

/// Slices long enough for every worker to be answered in each: in shorter ones workers that keep step draw a
/// comb whose height means nothing.
fn steady(mut slices: Vec<TimeSlice>, latency: Option<LatencySummary>) -> Vec<TimeSlice> {
    let answer = latency.map_or(Duration::ZERO, |latency| latency.p50);
    while slices.len() > FEW && slices[0].length() < answer.saturating_mul(2) {
        slices = merge_pairs(&slices);
    }
    if let [.., before, last] = slices.as_mut_slice()
        && last.length().saturating_mul(2) < before.length()
    {
        before.merge(last);
        slices.pop();
    }
    slices
}

fn progress(slices: &[TimeSlice], time: &Time, rows: f64) -> String {
    let sum = |part: fn(&TimeSlice) -> u64| -> Points {
        let mut so_far = 0;
        let end = |slice: &TimeSlice| {
            so_far += part(slice);
            (time.at(slice.to), so_far as f64)
        };
        std::iter::once((0.0, 0.0)).chain(slices.iter().map(end)).collect()
    };
    let mut series = vec![Series(Hue::First, PlotShape::Area(sum(|slice| slice.done)))];
    let mut legend = vec![(Hue::First, "rows that are over")];
    if slices.iter().any(|slice| slice.failed > 0) {
        series.push(Series(Hue::Third, PlotShape::Line(sum(|slice| slice.failed))));
        legend.push((Hue::Third, "failed rows"));
    }
    let done = highest(&series);
    let svg = time.draw("Progress over time", (headroom(rows.max(done)), &|rows| whole(*rows)), series);
    page::figure("Progress", &legend, &svg, "")
}

fn throughput(slices: &[TimeSlice], time: &Time) -> String {
    let rate = |part: fn(&TimeSlice) -> u64| time.points(slices, |slice| slice.per_second(part(slice)));
    let mut legend = vec![(Hue::First, "answers a second")];
    let mut series: Vec<Series> = time.pauses(slices).into_iter().collect();
    series.push(Series(Hue::First, PlotShape::Area(rate(|slice| slice.answers))));
    if slices.iter().any(|slice| slice.retries > 0) {
        series.push(Series(Hue::Third, PlotShape::Line(rate(|slice| slice.retries))));
        legend.push((Hue::Third, "retries a second"));
    }
    if slices.iter().any(|slice| !slice.paused.is_zero()) {
        legend.push((Hue::Shade, "paused"));
    }
    let top = headroom(highest(&series));
    let svg = time.draw("Throughput over time", (top, &|rate| short(*rate)), series);
    page::figure("Throughput", &legend, &svg, "")
}

fn percentiles(slices: &[TimeSlice], time: &Time) -> String {
    let hues = [(Hue::Third, 0.99, "p99"), (Hue::Second, 0.95, "p95"), (Hue::First, 0.5, "p50")];
    let mut series: Vec<Series> = time.pauses(slices).into_iter().collect();
    let stretches = answering(slices);
    for (hue, share, _) in hues {
        let latency = |slice: &TimeSlice| slice.quantile(share).unwrap_or_default().as_secs_f64();
        series.extend(
            stretches.iter().map(|slices| Series(hue, PlotShape::Line(time.points(slices, latency)))),
        );
    }
    let mut legend: Vec<_> = hues.iter().rev().map(|(hue, _, name)| (*hue, *name)).collect();
    if slices.iter().any(|slice| !slice.paused.is_zero()) {
        legend.push((Hue::Shade, "paused"));
    }
    let top = headroom(highest(&series));
    let svg = time.draw("Latency over time", (top, &|latency| latency_label(*latency)), series);
    page::figure("Latency", &legend, &svg, "")
}

/// The slices with answers, taken together until each has enough of them. Only a pause without an
/// answer parts them: there is nothing to be drawn.
fn answering(slices: &[TimeSlice]) -> Vec<Vec<TimeSlice>> {
    let answers = |slice: &TimeSlice| slice.answers > 0;
    slices
        .split(|slice| !answers(slice) && !slice.paused.is_zero())
        .filter_map(|stretch| {
            let (first, last) = (stretch.iter().position(answers)?, stretch.iter().rposition(answers)?);
            Some(with_enough(&stretch[first..=last]))
        })
        .collect()
}

/// Slices taken together until each has enough answers; too few at the end go to those before them.
fn with_enough(slices: &[TimeSlice]) -> Vec<TimeSlice> {
    let mut together: Vec<TimeSlice> = Vec::new();
    for slice in slices {
        match together.last_mut() {
            Some(last) if last.answers < ENOUGH => last.merge(slice),
            _ => together.push(slice.clone()),
        }
    }
    if let [.., before, last] = together.as_mut_slice()
        && last.answers < ENOUGH
    {
        before.merge(last);
        together.pop();
    }
    together
}

fn concurrency(slices: &[TimeSlice], time: &Time) -> String {
    let limit: Points = slices
        .iter()
        .flat_map(|slice| [slice.from, slice.to].map(|at| (time.at(at), slice.limit as f64)))
        .collect();
    let in_flight = time.points(slices, TimeSlice::in_flight);
    let mut legend = vec![(Hue::First, "requests in flight"), (Hue::Fourth, "allowed")];
    let mut series: Vec<Series> = time.pauses(slices).into_iter().collect();
    if !series.is_empty() {
        legend.push((Hue::Shade, "paused"));
    }
    series.push(Series(Hue::First, PlotShape::Area(in_flight)));
    series.push(Series(Hue::Fourth, PlotShape::Line(limit)));
    let top = headroom(highest(&series));
    let svg = time.draw("Concurrency over time", (top, &|count| whole(*count)), series);
    page::figure("Concurrency", &legend, &svg, "")
}

/// How many answers took how long. The few that took much longer than the rest, or much less, are
/// stated, not drawn: they would squeeze all others into one bar.
fn histogram(stats: &StatsSnapshot, latency: LatencySummary) -> String {
    let histogram = &stats.histogram;
    let seconds = |micros: u64| micros as f64 / 1e6;
    let [p50, p95, p99, max] =
        [latency.p50, latency.p95, latency.p99, latency.max].map(|time| time.as_secs_f64());
    let least = seconds(histogram.value_at_quantile(FASTEST));
    let (from, to) = span(least, [p50, p99, max]);
    let bars = (2.0 * (histogram.len() as f64).sqrt()).round().clamp(*BARS.start(), *BARS.end());
    let width = (to - from) / bars;
    let mut bars: Vec<(f64, f64, f64)> = (0..format::whole(bars))
        .map(|bar| (from + bar as f64 * width, from + (bar as f64 + 0.9) * width, 0.0))
        .collect();
    let (mut below, mut beyond) = (0, 0);
    for step in histogram.iter_recorded() {
        let value = seconds(histogram.median_equivalent(step.value_iterated_to()));
        let place = bars.partition_point(|(left, ..)| *left <= value).saturating_sub(1);
        if value > to {
            beyond += step.count_at_value();
        } else if value < from {
            below += step.count_at_value();
        } else {
            bars[place].2 += step.count_at_value() as f64;
        }
    }
    let top = headroom(bars.iter().map(|(.., height)| *height).fold(0.0, f64::max));
    let mut series = vec![Series(Hue::Shade, PlotShape::Bars(bars))];
    let lines = [(Hue::First, p50, "p50"), (Hue::Second, p95, "p95"), (Hue::Third, p99, "p99")];
    series.extend(lines.map(|(hue, at, _)| Series(hue, PlotShape::VerticalLine(at))));
    let named = lines.map(|(hue, at, name)| {
        (hue, format!("{name} {}", format::latency(Duration::try_from_secs_f64(at).unwrap_or_default())))
    });
    let mut legend = vec![(Hue::Shade, "answers")];
    legend.extend(named.iter().map(|(hue, name)| (*hue, name.as_str())));
    let fastest = Duration::from_micros(histogram.min());
    let remark = [(beyond, "took longer, up to", latency.max), (below, "arrived sooner, from", fastest)]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, how, end)| {
            let answers = format::counted(count, "answer", "answers");
            format!("{answers} {how} {}.", format::latency(end))
        })
        .collect::<Vec<_>>()
        .join(" ");
    let svg = Chart {
        label: "Answers by latency",
        x: Axis { from, to, labels: LABELS, text: &|at| latency_label(*at) },
        y: Axis { from: 0.0, to: top, labels: whole_labels(top), text: &|count| whole(*count) },
        series,
    }
    .svg();
    page::figure("Answers by latency", &legend, &svg, &remark)
}

/// From where to where a histogram reaches: to the end of what is usual, and never so narrow that its bars
/// would be finer than what was measured.
fn span(least: f64, [p50, p99, max]: [f64; 3]) -> (f64, f64) {
    let to = (p99 + (p99 - p50) * 0.5).max(p99 * 1.05).min(max.max(p99)).max(1e-5);
    let from = if least > 0.5 * to { (least - (to - least) * 0.1).max(0.0) } else { 0.0 };
    let (middle, half) = (f64::midpoint(from, to), to * 0.1);
    if to - from < 2.0 * half { (middle - half, middle + half) } else { (from, to) }
}

fn highest(series: &[Series]) -> f64 {
    let points = series.iter().flat_map(|Series(_, shape)| match shape {
        PlotShape::Line(points) | PlotShape::Area(points) | PlotShape::Dots(points) => points.as_slice(),
        PlotShape::Bars(_) | PlotShape::Bands(_) | PlotShape::VerticalLine(_) => &[],
    });
    points.map(|(_, height)| *height).fold(0.0, f64::max)
}

/// A little more than the highest, so that no line runs along the edge; never nothing.
pub(crate) fn headroom(highest: f64) -> f64 {
    if highest > 0.0 { highest * 1.06 } else { 1.0 }
}

/// `12`, `0.25`, `9,500`, `12.5k`, `20M`: at most five characters, to fit beside an axis.
pub(crate) fn short(number: f64) -> String {
    if (1e3..1e4).contains(&number) {
        return format::count(format::whole(number));
    }
    let (number, unit) = match number {
        number if number >= 1e9 => (number / 1e9, "G"),
        number if number >= 1e6 => (number / 1e6, "M"),
        number if number >= 1e4 => (number / 1e3, "k"),
        number => (number, ""),
    };
    let text = format!("{number:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A count; nothing where there is no such count, as between 0 and 1.
fn whole(number: f64) -> String {
    if (number - number.round()).abs() < 1e-6 { short(number) } else { String::new() }
}

/// Labels of an axis of counts: no more than there are counts, so that no line of the mesh goes without.
fn whole_labels(top: f64) -> usize {
    LABELS.min(usize::try_from(format::whole(top.floor())).unwrap_or(LABELS).saturating_add(1))
}

/// `0`, `50 ms`, `1.5 s`.
pub(crate) fn latency_label(seconds: f64) -> String {
    match seconds {
        0.0 => "0".into(),
        seconds if seconds < 1.0 => format!("{} ms", short(seconds * 1e3)),
        seconds => format!("{} s", short(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Event, Key};
    use crate::report::engine_status::EngineStatus;
    use crate::report::run_report::history::RunHistory;

    #[test]
    fn workers_in_step_are_drawn_as_the_rate_that_they_reach() {
        let latency = Duration::from_millis(300);
        let mut history = RunHistory::default();
        let key = Key::parse(b"A").unwrap();
        for step in 1..=122 {
            let elapsed = Duration::from_millis(50 * step);
            history.sample(&EngineStatus { elapsed, in_flight: 20, limit: 20, paused: None, learned: None });
            if step % 6 == 0 {
                for line in 0..20 {
                    history.count(&Event::AttemptAnswered {
                        key: &key,
                        line,
                        status: 200,
                        latency,
                        bytes: 1,
                    });
                }
            }
        }
        let rates = |slices: &[TimeSlice]| -> Vec<f64> {
            slices[1..].iter().map(|slice| slice.per_second(slice.answers)).collect()
        };
        let comb = history.slices();
        assert!(rates(&comb).contains(&0.0), "{:?}", rates(&comb));
        let steady = steady(comb, Some(LatencySummary { p50: latency, ..LatencySummary::default() }));
        assert!(rates(&steady).iter().all(|rate| (45.0..90.0).contains(rate)), "{:?}", rates(&steady));
    }

    #[test]
    fn a_few_refusals_at_once_do_not_squeeze_a_histogram() {
        let mut stats = crate::report::run_stats::RunStats::default();
        let key = Key::parse(b"A").unwrap();
        for line in 0..1_000 {
            let latency = Duration::from_micros(if line < 10 { 400 } else { 150_000 + line });
            stats.count(&Event::AttemptAnswered { key: &key, line, status: 200, latency, bytes: 1 });
        }
        let snapshot = stats.snapshot();
        let figure = histogram(&snapshot, snapshot.latency.unwrap());
        assert!(figure.contains("10 answers arrived sooner, from 400 µs."), "{figure}");
        assert!(!figure.contains("100 ms"), "{figure}");
    }

    #[test]
    fn labels_are_short() {
        for (number, label) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (9_500.0, "9,500"),
            (12_500.0, "12.5k"),
            (1_500_000.0, "1.5M"),
            (2e10, "20G"),
        ] {
            assert_eq!(short(number), label);
        }
        assert_eq!([0.0, 0.5, 2.0, 12_500.0].map(whole), ["0", "", "2", "12.5k"]);
        assert_eq!(latency_label(0.05), "50 ms");
        assert_eq!(latency_label(1.5), "1.5 s");
        assert_eq!(latency_label(0.000_5), "0.5 ms");
    }
}
