//! The bar on a terminal.
//!
//! indicatif keeps the terminal right (clearing, wrapping, suspending for lines); the text of the line is
//! composed here, so that it is one drawing a tick, fits any width, and takes its colours from the caller
//! instead of from indicatif's own reading of the environment.
//!
//! When a window shrinks, most terminals wrap what is on it: the bar then takes up several lines, and how many
//! cannot be known, since some cut instead. So the cursor rests where the bar begins, a place that every
//! terminal keeps, and all from there to the end of the screen is cleared: nothing of the old bar stays, and no
//! line above it is ever touched. A bar may also be drawn before the new width is known (tmux reports it up to a
//! quarter of a second late): wrapping is off while it is written, so that it is cut and stays on its line.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::report::console::progress_snapshot::ProgressSnapshot;
use crate::report::console::sink::Sink;
use crate::report::format;
use crate::report::settings::Terminal;

/// Drawn at most this often, however often the engine ticks. It does so every 50 ms; were this as long, a tick
/// that is slightly early would be left out, and the bar would move unevenly.
const REDRAW: Duration = Duration::from_millis(40);
/// Columns where the terminal does not report them.
const USUAL_WIDTH: u16 = 80;
/// indicatif's arithmetic needs a minimum.
const LEAST_WIDTH: u16 = 8;
const SHORTEST_TRACK: usize = 10;
const LONGEST_TRACK: usize = 40;
/// The track's length goes in steps, so that it does not change with every digit beside it.
const TRACK_STEP: usize = 5;

/// A bar that is on the screen.
#[derive(Debug)]
pub(crate) struct Bar {
    shown: ProgressBar,
    terminal: Terminal,
    drawn: Option<Duration>,
}

impl Bar {
    pub(crate) fn new(sink: Arc<Sink>, terminal: Terminal) -> Self {
        let canvas = BarTerminal { sink, width: terminal.width };
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like(Box::new(canvas)));
        // The track is drawn by `line`; this only cuts what is too long for the terminal.
        let style = ProgressStyle::with_template("{wide_msg}").expect("a constant template");
        bar.set_style(style);
        Self { shown: bar, terminal, drawn: None }
    }

    /// Draws the progress, unless that was done a moment ago.
    pub(crate) fn draw(&mut self, snapshot: &ProgressSnapshot) {
        if self.drawn.is_some_and(|drawn| snapshot.elapsed < drawn.saturating_add(REDRAW)) {
            return;
        }
        self.drawn = Some(snapshot.elapsed);
        let width = usable((self.terminal.width)());
        self.shown.set_message(line(snapshot, width.into(), self.terminal.colour));
    }

    /// Takes the bar away while something else is written.
    pub(crate) fn suspend(&self, write: impl FnOnce()) {
        self.shown.suspend(write);
    }

    /// Takes the bar away for good.
    pub(crate) fn clear(self) {
        self.shown.finish_and_clear();
    }
}

fn usable(width: u16) -> u16 {
    if width == 0 { USUAL_WIDTH } else { width.max(LEAST_WIDTH) }
}

/// `██████░░░░ 2,431/6,000 · 952/s · 64 in flight · 41 retries · 6 failed · 4 s left`, less what does not fit.
fn line(snapshot: &ProgressSnapshot, width: usize, colour: bool) -> String {
    let short = format::count(snapshot.done);
    let done = match snapshot.total {
        Some(total) => format!("{short}/{}", format::count(total)),
        None => format::counted(snapshot.done, "row", "rows"),
    };
    let track_room = if snapshot.total.is_some() { SHORTEST_TRACK + 1 } else { 0 };
    let parts = fitting(snapshot, [done.clone(), snapshot.pace()], width.saturating_sub(track_room))
        .or_else(|| fitting(snapshot, [done, snapshot.pace_in_brief()], width))
        .unwrap_or_else(|| vec![short, snapshot.pace_in_brief()]);
    let text = parts.join(" · ");
    match snapshot.total {
        Some(total) if columns(&parts) + track_room <= width => {
            let room = (width - columns(&parts) - 1).min(LONGEST_TRACK);
            let cells = room / TRACK_STEP * TRACK_STEP;
            format!("{} {text}", track(snapshot.done, total, cells, colour))
        }
        _ => text,
    }
}

/// The parts of the line that fit into the width; none where not even how far and how fast do.
fn fitting(snapshot: &ProgressSnapshot, [done, pace]: [String; 2], width: usize) -> Option<Vec<String>> {
    // In their order, each with the order in which they are left out when the terminal is narrow (the highest first).
    let mut parts: Vec<(u8, String)> = [
        (0, Some(done)),
        (1, Some(pace)),
        (4, snapshot.learnt()),
        (5, Some(snapshot.flying())),
        (6, snapshot.retried()),
        (2, snapshot.failures()),
        (3, snapshot.time_left()),
    ]
    .into_iter()
    .filter_map(|(turn, part)| Some((turn, part?)))
    .collect();
    loop {
        let texts: Vec<String> = parts.iter().map(|(_, part)| part.clone()).collect();
        if columns(&texts) <= width {
            return Some(texts);
        }
        let last = parts.iter().map(|(turn, _)| *turn).max().filter(|turn| *turn > 1)?;
        parts.retain(|(turn, _)| *turn != last);
    }
}

/// Columns of the parts with a separator of three between them. A wide character in a pause's reason makes
/// this too small; the template then cuts the line.
fn columns(parts: &[String]) -> usize {
    let text: usize = parts.iter().map(|part| part.chars().count()).sum();
    text + 3 * parts.len().saturating_sub(1)
}

fn track(done: u64, total: u64, cells: usize, colour: bool) -> String {
    let share = if total == 0 { 1.0 } else { done.min(total) as f64 / total as f64 };
    let full =
        usize::try_from(format::whole((share * cells as f64).floor())).map_or(cells, |full| full.min(cells));
    let (on, off) = if colour { ("\x1b[36m", "\x1b[0m") } else { ("", "") };
    format!("{on}{}{}{off}", "█".repeat(full), "░".repeat(cells - full))
}

/// The terminal that indicatif writes to, on top of the sink.
#[derive(Debug)]
struct BarTerminal {
    sink: Arc<Sink>,
    width: fn() -> u16,
}

impl BarTerminal {
    /// Moves the cursor. A count of 0 would be taken as 1 by the terminal.
    fn cursor(&self, count: usize, direction: char) {
        if count > 0 {
            self.sink.push(&format!("\x1b[{count}{direction}"));
        }
    }
}

impl TermLike for BarTerminal {
    fn width(&self) -> u16 {
        usable((self.width)())
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.cursor(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.cursor(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.cursor(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.cursor(n, 'D');
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.sink.push(text);
        self.sink.push("\n");
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        // indicatif fills the line with spaces, where all is cleared already.
        let text = text.trim_end_matches(' ');
        if !text.is_empty() {
            for part in ["\x1b[?7l", text, "\x1b[?7h"] {
                self.sink.push(part);
            }
        }
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.sink.push("\r\x1b[J");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.sink.push("\r");
        self.sink.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
