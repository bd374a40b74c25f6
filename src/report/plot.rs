//! Line plots as inline SVG, drawn in the report page's colours, each with its numbers as a table.

use std::fmt::Write;

/// Drawn size; the page scales it.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 10.0;
const ABOVE: f64 = 12.0;
const BELOW: f64 = 38.0;
/// Longer curves are averaged into so many points.
const MOST_POINTS: usize = 240;
const TABLE_ROWS: usize = 24;

/// A named curve in a plot.
#[derive(Clone, Debug)]
pub struct Line {
    /// The curve's name in the legend.
    pub name: String,
    /// The points (x, y) of the curve, by rising x.
    pub points: Vec<(f64, f64)>,
    /// Whether the curve is a step function, whose values hold until the next one.
    pub stairs: bool,
}

/// A plot of curves over one horizontal axis.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// The plot's heading, above the curves.
    pub title: String,
    /// The sentence below the plot: what is measured, and on which images.
    pub about: String,
    /// The label under the horizontal axis.
    pub x_label: String,
    /// The curves of the plot; those without points are left out.
    pub lines: Vec<Line>,
    /// Vertical lines with a text each: where something begins, and its name.
    pub marks: Vec<(f64, String)>,
    /// Horizontal lines, such as a threshold that `about` names.
    pub levels: Vec<f64>,
    /// The ends of the vertical axis, if they are fixed.
    pub y_range: Option<(f64, f64)>,
}

impl Plot {
    /// Returns the HTML element `figure` with heading, legend, curves and table; nothing where there is no point.
    pub fn html(&self) -> String {
        let lines: Vec<Line> = self
            .lines
            .iter()
            .map(|line| Line {
                points: thinned(&line.points, line.stairs, MOST_POINTS),
                ..line.clone()
            })
            .filter(|line| !line.points.is_empty())
            .collect();
        if lines.is_empty() {
            return String::new();
        }
        let mut legend = String::new();
        let named = if lines.len() > 1 { lines.as_slice() } else { &[] };
        for (place, line) in named.iter().enumerate() {
            let name = escaped(&line.name);
            let key = format!(
                "<svg class=\"key\" viewBox=\"0 0 24 8\" aria-hidden=\"true\"><path class=\"line c{place}\" d=\"M1 4H23\"/></svg>"
            );
            legend += &format!("<span>{key}{name}</span>");
        }
        format!(
            "<figure class=\"plot\">\n<h3>{}</h3>\n<p class=\"about\">{}</p>\n<p class=\"legend\">{legend}</p>\n{}\n{}\n</figure>\n",
            escaped(&self.title),
            escaped(&self.about),
            self.svg(&lines),
            self.table()
        )
    }

    fn svg(&self, lines: &[Line]) -> String {
        let (x_low, x_high) = ends(lines.iter().flat_map(|line| line.points.iter().map(|p| p.0)));
        let levels = self.levels.iter().copied();
        let measured =
            ends(lines.iter().flat_map(|line| line.points.iter().map(|p| p.1)).chain(levels));
        let y_ticks = ticks(self.y_range.unwrap_or(measured), 5);
        let (y_low, y_high) = self.y_range.unwrap_or_else(|| {
            let outer = ends(y_ticks.iter().copied());
            (outer.0.min(measured.0), outer.1.max(measured.1))
        });
        let x_of = |x: f64| LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT);
        let y_of = |y: f64| {
            let share = ((y - y_low) / (y_high - y_low)).clamp(0.0, 1.0);
            HEIGHT - BELOW - share * (HEIGHT - ABOVE - BELOW)
        };
        let (bottom, right) = (HEIGHT - BELOW, WIDTH - RIGHT);

        let mut out = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escaped(&self.spoken(lines))
        );
        // Writing to a String cannot fail.
        let mut put = |text: std::fmt::Arguments| {
            let _ = out.write_fmt(text);
        };
        for y in y_ticks.iter().filter(|y| (y_low..=y_high).contains(*y)) {
            let at = y_of(*y);
            put(format_args!("<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>"));
            put(format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                LEFT - 6.0,
                at + 4.0,
                number(*y)
            ));
        }
        for x in ticks((x_low, x_high), 6).iter().filter(|x| (x_low..=x_high).contains(*x)) {
            let (at, y) = (x_of(*x), bottom + 16.0);
            put(format_args!(
                "<text x=\"{at:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>\n",
                number(*x)
            ));
        }
        put(format_args!("<path class=\"axis\" d=\"M{LEFT} {bottom}H{right}\"/>"));
        let middle = (LEFT + right) / 2.0;
        put(format_args!(
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
            HEIGHT - 6.0,
            escaped(&self.x_label)
        ));
        for (place, line) in lines.iter().enumerate() {
            let mut path = String::new();
            let mut before: Option<f64> = None;
            for &(x, y) in &line.points {
                let (x, y) = (x_of(x), y_of(y));
                path += &match before {
                    None => format!("M{x:.1} {y:.1}"),
                    Some(_) if line.stairs => format!("H{x:.1}V{y:.1}"),
                    Some(_) => format!("L{x:.1} {y:.1}"),
                };
                before = Some(y);
            }
            put(format_args!("<path class=\"line c{place}\" d=\"{path}\"/>\n"));
            // A few points are seen as such; one alone would not be seen at all.
            if line.points.len() <= if line.stairs { 1 } else { 12 } {
                for &(x, y) in &line.points {
                    put(format_args!(
                        "<circle class=\"dot c{place}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>\n",
                        x_of(x),
                        y_of(y)
                    ));
                }
            }
        }
        // Above the curves, so that their words can be read.
        for (x, name) in self.marks.iter().filter(|(x, _)| (x_low..=x_high).contains(x)) {
            let at = x_of(*x);
            put(format_args!("<path class=\"mark\" d=\"M{at:.1} {ABOVE}V{bottom}\"/>"));
            let (side, anchor) = if at > WIDTH * 0.75 { (-5.0, "end") } else { (5.0, "start") };
            put(format_args!(
                "<text class=\"note\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>\n",
                at + side,
                ABOVE + 10.0,
                escaped(name)
            ));
        }
        for y in &self.levels {
            let at = y_of(*y);
            put(format_args!("<path class=\"mark\" d=\"M{LEFT} {at:.1}H{right}\"/>"));
        }
        out + "</svg>"
    }

    /// The plot in words, for somebody who cannot see it: each curve's first and last value.
    fn spoken(&self, lines: &[Line]) -> String {
        let mut text = format!("{}, by {}.", self.title, self.x_label);
        for line in lines {
            if let (Some(first), Some(last)) = (line.points.first(), line.points.last()) {
                text += &format!(" {}: from {} to {}.", line.name, value(first.1), value(last.1));
            }
        }
        text + " The numbers are in the table below."
    }

    fn table(&self) -> String {
        // Means are taken below, and of all points.
        let finite = |line: &Line| Line {
            points: line.points.iter().copied().filter(is_finite).collect(),
            ..line.clone()
        };
        let mut lines: Vec<Line> = self.lines.iter().map(finite).collect();
        lines.retain(|line| !line.points.is_empty());
        let mut xs: Vec<f64> =
            lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        let every = xs.len().div_ceil(TABLE_ROWS).max(1);
        let last = xs.last().copied();
        let mut out = format!(
            "<details><summary>Numbers</summary><div class=\"wide\" tabindex=\"0\"><table><caption>{}</caption><thead><tr><th scope=\"col\">{}</th>",
            escaped(&self.title),
            escaped(&self.x_label)
        );
        for line in &lines {
            out += &format!("<th scope=\"col\">{}</th>", escaped(&line.name));
        }
        out += "</tr></thead><tbody>\n";
        let mut low = f64::NEG_INFINITY;
        let rows = xs.iter().skip(every - 1).step_by(every).copied();
        let rest = last.filter(|_| !xs.len().is_multiple_of(every));
        for x in rows.chain(rest) {
            out += &format!("<tr><th scope=\"row\">{}</th>", number(x));
            for line in &lines {
                // Curves show means of what lies between rows; stairs the last.
                let between = line.points.iter().filter(|point| low < point.0 && point.0 <= x);
                let values: Vec<f64> = between.map(|point| point.1).collect();
                let shown = match values.last() {
                    None => String::new(),
                    Some(last) if line.stairs => value(*last),
                    Some(_) => value(values.iter().sum::<f64>() / values.len() as f64),
                };
                out += &format!("<td>{shown}</td>");
            }
            out += "</tr>\n";
            low = x;
        }
        out + "</tbody></table></div></details>"
    }
}

/// Returns a text with its special characters escaped, so that it is safe in HTML, in attributes too.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            _ => out.push(letter),
        }
    }
    out
}

/// Means of equal groups of finite points, or, of stairs, where they change.
fn thinned(points: &[(f64, f64)], stairs: bool, most: usize) -> Vec<(f64, f64)> {
    let mut finite: Vec<_> = points.iter().copied().filter(is_finite).collect();
    if stairs {
        let last = finite.last().copied();
        finite.dedup_by_key(|point| point.1);
        finite.extend(last);
        return finite;
    }
    let group = finite.len().div_ceil(most).max(1);
    let mean = |points: &[(f64, f64)]| {
        let sum = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
        (sum.0 / points.len() as f64, sum.1 / points.len() as f64)
    };
    finite.chunks(group).map(mean).collect()
}

fn is_finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

/// Lowest and highest, apart at least a little.
pub(super) fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low < high {
        (low, high)
    } else if low == high {
        (low - 0.5, high + 0.5)
    } else {
        (0.0, 1.0)
    }
}

/// About `count` round numbers that cover a range.
pub(super) fn ticks((low, high): (f64, f64), count: usize) -> Vec<f64> {
    let rough = (high - low) / count as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999);
    let step = step.filter(|step| step.is_finite() && *step > 0.0).unwrap_or(1.0);
    let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
    (0..=(last - first).clamp(0.0, 50.0) as usize).map(|i| (first + i as f64) * step).collect()
}

/// An axis's number without needless zeros.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// A measured number: three digits after the point for losses and shares, none for counts.
fn value(value: f64) -> String {
    if value.fract() == 0.0 { number(value) } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(
            ticks((0.0, 1.0), 5).iter().map(|t| number(*t)).collect::<Vec<_>>(),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(ticks((0.3, 2.4), 5), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        assert_eq!(ticks((1.0, 760.0), 6), [0.0, 200.0, 400.0, 600.0, 800.0]);
        assert!(ticks((0.0, f64::INFINITY), 5).len() <= 51);
    }

    #[test]
    fn long_curves_are_averaged_and_stairs_keep_their_edges() {
        let points: Vec<_> = (0..1000).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let thin = thinned(&points, false, 100);
        assert_eq!(thin.len(), 100);
        assert!(thin.iter().all(|point| point.1 == 0.5));
        let stairs = [(1.0, 2.0), (2.0, 2.0), (3.0, 3.0), (4.0, 3.0), (5.0, 3.0)];
        assert_eq!(thinned(&stairs, true, 9), [(1.0, 2.0), (3.0, 3.0), (5.0, 3.0)]);
        assert_eq!(thinned(&[(1.0, f64::NAN)], false, 9), []);
    }

    #[test]
    fn one_point_and_none() {
        let line = |points| Line { name: "a<b".into(), points, stairs: false };
        let plot = Plot { lines: vec![line(vec![(3.0, 0.25)])], ..Plot::default() };
        let html = plot.html();
        assert!(html.contains("<circle") && html.contains("a&lt;b") && !html.contains("NaN"));
        assert_eq!(Plot { lines: vec![line(vec![])], ..Plot::default() }.html(), "");
    }
}
