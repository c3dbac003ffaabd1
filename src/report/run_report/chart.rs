//! Charts as SVG, drawn by plotters.
//!
//! Colours are those of the light page; the page's style sheet replaces them on a dark one, by their values
//! in the attributes, and sets the size and colour of text. plotters places everything on whole pixels, so it
//! is given four for each that is shown.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// The size that is shown, where the page is wide enough.
const WIDTH: u32 = 480;
const HEIGHT: u32 = 210;
/// Pixels of the drawing for one that is shown.
const FINE: u32 = 4;
/// plotters divides this by 1.24 for the attribute, which the style sheet overrides.
const TEXT: u32 = 11 * FINE;

/// A colour, by its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hue {
    /// Answers, or their median.
    First,
    /// A second series, or nearly all of the answers.
    Second,
    /// What went wrong, or the slowest of the answers.
    Third,
    /// What was allowed.
    Fourth,
    /// Pauses.
    Shade,
}

impl Hue {
    pub(crate) const ALL: [Self; 5] = [Self::First, Self::Second, Self::Third, Self::Fourth, Self::Shade];

    /// On a light page, as red, green and blue.
    fn light(self) -> (u8, u8, u8) {
        match self {
            Self::First => (0x25, 0x63, 0xEB),
            Self::Second => (0xC2, 0x70, 0x0A),
            Self::Third => (0xD1, 0x24, 0x2F),
            Self::Fourth => (0x0F, 0x83, 0x6B),
            Self::Shade => (0x83, 0x8A, 0x95),
        }
    }

    /// As an attribute of the drawing has it.
    pub(crate) fn attribute(self) -> String {
        let (red, green, blue) = self.light();
        format!("#{red:02X}{green:02X}{blue:02X}")
    }

    /// The name of its variable in the style sheet.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Third => "third",
            Self::Fourth => "fourth",
            Self::Shade => "shade",
        }
    }

    fn rgb(self) -> RGBColor {
        let (red, green, blue) = self.light();
        RGBColor(red, green, blue)
    }
}

/// The lines of the mesh and of the axes.
pub(crate) const MESH: &str = "#E3E6EA";
const MESH_RGB: RGBColor = RGBColor(0xE3, 0xE6, 0xEA);

/// One axis: its range, and how a value on it is written.
pub(crate) struct Axis<'a> {
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Labels at most.
    pub(crate) labels: usize,
    pub(crate) text: &'a dyn Fn(&f64) -> String,
}

/// What is drawn.
pub(crate) enum PlotShape {
    /// A line through points; a point alone is a dot.
    Line(Vec<(f64, f64)>),
    /// A line, and what lies below it.
    Area(Vec<(f64, f64)>),
    /// Dots.
    Dots(Vec<(f64, f64)>),
    /// Bars from the bottom: left, right and height.
    Bars(Vec<(f64, f64, f64)>),
    /// Stretches of the whole height: left and right.
    Bands(Vec<(f64, f64)>),
    /// An upright line.
    VerticalLine(f64),
}

/// A shape in its colour.
pub(crate) struct Series(pub(crate) Hue, pub(crate) PlotShape);

/// A chart.
pub(crate) struct Chart<'a> {
    /// What it shows, for those who cannot see it; must need no escaping.
    pub(crate) label: &'a str,
    pub(crate) x: Axis<'a>,
    pub(crate) y: Axis<'a>,
    /// From the lowest layer up.
    pub(crate) series: Vec<Series>,
}

impl Chart<'_> {
    /// The SVG element.
    pub(crate) fn svg(&self) -> String {
        let mut drawing = String::new();
        // Into memory: there is nothing that could fail but plotters' own layout, and then no chart is shown.
        if self.draw(SVGBackend::with_string(&mut drawing, (WIDTH * FINE, HEIGHT * FINE))).is_err() {
            return String::new();
        }
        // Its own head has a fixed size, and the name of a namespace that a page does not need.
        let shapes = drawing.split_once('>').map_or("", |(_, shapes)| shapes);
        let size = format!("0 0 {} {}", WIDTH * FINE, HEIGHT * FINE);
        format!("<svg viewBox=\"{size}\" role=\"img\" aria-label=\"{}\">{shapes}", self.label)
    }

    fn draw(&self, backend: SVGBackend<'_>) -> Result<(), Box<dyn std::error::Error + '_>> {
        let root = backend.into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin_top(8 * FINE)
            .margin_right(22 * FINE)
            .x_label_area_size(24 * FINE)
            .y_label_area_size(62 * FINE)
            .build_cartesian_2d(range(&self.x), range(&self.y))
            .map_err(|error| error.to_string())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(MESH_RGB.stroke_width(FINE))
            .axis_style(MESH_RGB.stroke_width(FINE))
            .set_all_tick_mark_size(4 * FINE)
            .label_style(("sans-serif", TEXT))
            .x_labels(self.x.labels)
            .y_labels(self.y.labels)
            .x_label_formatter(self.x.text)
            .y_label_formatter(self.y.text)
            .draw()
            .map_err(|error| error.to_string())?;
        for mark in &self.series {
            mark.draw(&mut chart, self.y.to).map_err(|error| error.to_string())?;
        }
        drop(chart);
        root.present().map_err(|error| error.to_string())?;
        Ok(())
    }
}

type Trouble<'b> = DrawingAreaErrorKind<<SVGBackend<'b> as DrawingBackend>::ErrorType>;
type PlotArea<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl Series {
    fn draw<'b>(&self, chart: &mut PlotArea<'_, 'b>, top: f64) -> Result<(), Trouble<'b>> {
        let Self(hue, shape) = self;
        let (line, fill) = (hue.rgb().stroke_width(2 * FINE), hue.rgb().filled());
        let dots = |points: &[(f64, f64)]| {
            points.iter().map(|point| Circle::new(*point, 3 * FINE, fill)).collect::<Vec<_>>()
        };
        let boxes = |sides: Vec<[(f64, f64); 2]>, style: ShapeStyle| {
            sides.into_iter().map(move |side| Rectangle::new(side, style))
        };
        match shape {
            PlotShape::Line(points) if points.len() == 1 => chart.draw_series(dots(points)).map(drop),
            PlotShape::Line(points) => chart.draw_series(LineSeries::new(points.clone(), line)).map(drop),
            PlotShape::Area(points) => {
                let area = AreaSeries::new(points.clone(), 0.0, hue.rgb().mix(0.15).filled());
                chart.draw_series(area.border_style(line)).map(drop)
            }
            PlotShape::Dots(points) => chart.draw_series(dots(points)).map(drop),
            PlotShape::Bars(bars) => {
                let sides = bars.iter().map(|(left, right, height)| [(*left, *height), (*right, 0.0)]);
                chart.draw_series(boxes(sides.collect(), fill)).map(drop)
            }
            PlotShape::Bands(stretches) => {
                let sides = stretches.iter().map(|(left, right)| [(*left, top), (*right, 0.0)]);
                chart.draw_series(boxes(sides.collect(), hue.rgb().mix(0.25).filled())).map(drop)
            }
            PlotShape::VerticalLine(x) => {
                chart.draw_series(LineSeries::new([(*x, 0.0), (*x, top)], line)).map(drop)
            }
        }
    }
}

/// A range that has a length, whatever was measured: plotters divides by it.
fn range(axis: &Axis<'_>) -> std::ops::Range<f64> {
    let from = if axis.from.is_finite() { axis.from } else { 0.0 };
    let to = if axis.to.is_finite() { axis.to } else { from + 1.0 };
    from..if to > from { to } else { from + 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(series: Vec<Series>, to: f64) -> String {
        let text = |value: &f64| format!("{value:.1}");
        let axis = || Axis { from: 0.0, to, labels: 5, text: &text };
        Chart { label: "answers", x: axis(), y: axis(), series }.svg()
    }

    #[test]
    fn every_shape_is_drawn_in_its_colour() {
        let points = vec![(0.0, 1.0), (5.0, 9.0), (10.0, 3.0)];
        for (shape, tag) in [
            (PlotShape::Line(points.clone()), "<polyline"),
            (PlotShape::Area(points.clone()), "<polygon"),
            (PlotShape::Dots(points.clone()), "<circle"),
            (PlotShape::Line(points[..1].to_vec()), "<circle"),
            (PlotShape::Bars(vec![(1.0, 2.0, 3.0)]), "<rect"),
            (PlotShape::Bands(vec![(1.0, 2.0)]), "<rect"),
            (PlotShape::VerticalLine(4.0), "<polyline"),
        ] {
            let svg = chart(vec![Series(Hue::Fourth, shape)], 10.0);
            assert!(svg.contains(&Hue::Fourth.attribute()) && svg.contains(tag), "{svg}");
            assert!(svg.starts_with("<svg viewBox=") && svg.trim_end().ends_with("</svg>"), "{svg}");
            assert!(!svg.contains("http"), "{svg}");
        }
    }

    #[test]
    fn no_range_and_no_number_breaks_a_chart() {
        for to in [0.0, -1.0, 1e-12, 1e300, f64::INFINITY, f64::NAN] {
            let svg = chart(vec![Series(Hue::First, PlotShape::Line(vec![(0.0, 0.0), (to, to)]))], to);
            assert!(svg.trim_end().ends_with("</svg>"), "{to}: {svg}");
        }
    }
}
