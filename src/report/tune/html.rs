//! `tune --report FILE.html`: the curve, the table, and the command to paste.

use std::fmt::Write as _;
use std::time::SystemTime;

use crate::limit::climb::Rung;
use crate::report::format::{self, count, counted};
use crate::report::machine_format::moment;
use crate::report::run_report::chart::{Axis, Chart, Hue, PlotShape, Series};
use crate::report::run_report::charts::{headroom, latency_label, short};
use crate::report::run_report::page::{card, figure, page, pairs, prose, table, text, tile};
use crate::report::tune::text::{notes, rate, why};
use crate::report::tune::tune_result::{Proposal, TuneResult};

pub(crate) fn document(tuned: &TuneResult, now: SystemTime) -> String {
    let mut body = head(tuned, now);
    let measured: Vec<&Rung> = tuned.rungs.iter().filter(|rung| rung.is_measured()).collect();
    if measured.len() > 1 {
        body.push_str(&pairs(&[throughput(tuned, &measured), latency(tuned, &measured)]));
    }
    let (head, rows) = rows(tuned);
    let mut measured_table = table(&head, &rows);
    for note in notes(tuned) {
        let _ = write!(measured_table, "<p class=\"soft\">{}</p>", text(&note));
    }
    body.push_str(&card("What was measured", &measured_table));
    let causes: Vec<_> =
        tuned.causes.iter().map(|group| vec![count(group.count), group.cause.label()]).collect();
    if !causes.is_empty() {
        body.push_str(&card("What failed", &table(&["#requests", "~cause"], &causes)));
    }
    let _ = writeln!(
        body,
        "<footer class=\"soft\">skufetch {} · {}</footer>",
        env!("CARGO_PKG_VERSION"),
        moment(now)
    );
    page(&format!("{} · skufetch tune", tuned.input), &body)
}

fn head(tuned: &TuneResult, now: SystemTime) -> String {
    let best = tuned.best();
    let title = match tuned.proposal() {
        None => "No number can be named".into(),
        Some(Proposal::Rate(rate)) => format!("Best: {rate}"),
        Some(Proposal::Workers(workers)) => format!("Best: {}", counted(workers as u64, "worker", "workers")),
    };
    let day = moment(now).get(..16).unwrap_or_default().replace('T', " ");
    let mut head = format!(
        "<header>\n<p class=\"kicker\">{day} UTC · a sample of {} · {}</p>\n<h1>{}</h1>\n<p class=\"headline\">{}</p>\n",
        text(&tuned.input),
        text(&tuned.request),
        text(&title),
        prose(&why(tuned)),
    );
    if let Some(command) = tuned.paste() {
        let _ = writeln!(head, "<pre>{}</pre>", prose(&command));
        if tuned.hides {
            head.push_str("<p class=\"soft\">... replaces what is not shown here.</p>\n");
        }
    }
    head.push_str("</header>\n<div class=\"tiles\">\n");
    if let Some(best) = best {
        head.push_str("<div>\n");
        head.push_str(&tile(&format!("{}/s", rate(best)), "answers"));
        head.push_str(&tile(&format::latency(best.p50), "p50"));
        head.push_str(&tile(&format::latency(best.p95), "p95"));
        head.push_str("</div>\n");
    }
    head.push_str("<div>\n");
    head.push_str(&tile(&count(tuned.requests), "requests in all"));
    head.push_str(&tile(&format::duration(tuned.elapsed), "in all"));
    head.push_str(&tile(&count(tuned.ceiling as u64), "workers at most"));
    if let Some(rate) = tuned.rate {
        head.push_str(&tile(&rate.to_string(), "rate"));
    }
    head + "</div>\n</div>\n"
}

fn throughput(tuned: &TuneResult, rungs: &[&Rung]) -> String {
    let points = along(rungs, Rung::per_second);
    let mut series = vec![
        Series(Hue::First, PlotShape::Area(points.clone())),
        Series(Hue::First, PlotShape::Dots(points)),
    ];
    let mut legend = vec![(Hue::First, "answers a second")];
    if let Some(dot) = the_best(tuned, rungs, Rung::per_second) {
        series.push(Series(Hue::Third, PlotShape::Dots(vec![dot])));
        legend.push((Hue::Third, "best"));
    }
    let top = rungs.iter().map(|rung| rung.per_second()).fold(0.0, f64::max);
    let svg = curve("Throughput by workers", rungs, y_axis(top, &|rate| short(*rate)), series);
    figure("Throughput by workers", &legend, &svg, "")
}

fn latency(tuned: &TuneResult, rungs: &[&Rung]) -> String {
    let mut series = Vec::new();
    let p95 = |rung: &Rung| rung.p95.as_secs_f64();
    for (hue, points) in
        [(Hue::Second, along(rungs, p95)), (Hue::First, along(rungs, |rung| rung.p50.as_secs_f64()))]
    {
        series.push(Series(hue, PlotShape::Line(points.clone())));
        series.push(Series(hue, PlotShape::Dots(points)));
    }
    let mut legend = vec![(Hue::First, "p50"), (Hue::Second, "p95")];
    if let Some(dot) = the_best(tuned, rungs, p95) {
        series.push(Series(Hue::Third, PlotShape::Dots(vec![dot])));
        legend.push((Hue::Third, "best"));
    }
    let top = rungs.iter().map(|rung| p95(rung)).fold(0.0, f64::max);
    let svg = curve("Latency by workers", rungs, y_axis(top, &|latency| latency_label(*latency)), series);
    figure("Latency by workers", &legend, &svg, "")
}

/// The rungs side by side, whatever their distance: they are doublings, but for the last.
fn curve(label: &str, rungs: &[&Rung], y: Axis<'_>, series: Vec<Series>) -> String {
    let last = rungs.len() as f64 - 1.0;
    let workers = |at: &f64| {
        let at = at.round();
        let place = (0..rungs.len()).find(|place| (*place as f64 - at).abs() < 0.5);
        place.map_or_else(String::new, |place| short(rungs[place].workers as f64))
    };
    // Labels are at whole numbers if there may be as many as there are numbers.
    let x = Axis { from: 0.0, to: last, labels: rungs.len(), text: &workers };
    Chart { label, x, y, series }.svg()
}

fn y_axis(top: f64, text: &dyn Fn(&f64) -> String) -> Axis<'_> {
    Axis { from: 0.0, to: headroom(top), labels: 6, text }
}

fn along(rungs: &[&Rung], value: impl Fn(&Rung) -> f64) -> Vec<(f64, f64)> {
    rungs.iter().enumerate().map(|(place, rung)| (place as f64, value(rung))).collect()
}

fn the_best(tuned: &TuneResult, rungs: &[&Rung], value: impl Fn(&Rung) -> f64) -> Option<(f64, f64)> {
    let best = tuned.best()?;
    let place = rungs.iter().position(|rung| *rung == best)?;
    Some((place as f64, value(best)))
}

fn rows(tuned: &TuneResult) -> ([&'static str; 7], Vec<Vec<String>>) {
    let head = ["#workers", "#requests", "#answers/s", "#p50", "#p95", "#errors", ""];
    let best = tuned.best();
    let row = |rung: &Rung| {
        let if_measured = |text: String| if rung.is_measured() { text } else { "–".into() };
        let remark = match () {
            () if Some(rung) == best => "best",
            () if rung.paused => "paused",
            () => "",
        };
        vec![
            count(rung.workers as u64),
            count(rung.requests),
            if_measured(rate(rung)),
            if_measured(format::latency(rung.p50)),
            if_measured(format::latency(rung.p95)),
            count(rung.errors),
            remark.into(),
        ]
    };
    (head, tuned.rungs.iter().map(row).collect())
}
