//! Draws a scatter plot as an SVG file: named points with error bars in both directions.

use std::fmt::Write;

use super::plot::{ends, escaped, number, ticks};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const ABOVE: f64 = 40.0;
const BELOW: f64 = 52.0;
/// Told apart by eyes that see no red or no green (Okabe and Ito's palette).
const COLOURS: [&str; 8] =
    ["#000000", "#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#d55e00", "#882255"];

/// A named point of a scatter plot, with error bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The name beside the point.
    pub name: String,
    /// The position of the point, (x, y).
    pub at: (f64, f64),
    /// Half the length of the point's error bars.
    pub spread: (f64, f64),
}

/// A scatter plot: heading, labels of the axes and points.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter<'a> {
    /// The scatter plot's heading.
    pub title: &'a str,
    /// The labels under the horizontal and beside the vertical axis.
    pub labels: [&'a str; 2],
    /// The points of the plot; those that are not finite are left out.
    pub points: Vec<Point>,
}

impl Scatter<'_> {
    /// Returns the scatter plot as SVG text.
    pub fn svg(&self) -> String {
        let finite = |point: &&Point| {
            [point.at.0, point.at.1, point.spread.0, point.spread.1].iter().all(|x| x.is_finite())
        };
        let points: Vec<&Point> = self.points.iter().filter(finite).collect();
        let outer = |pick: fn(&Point) -> (f64, f64)| {
            let both = |point: &&Point| {
                let (at, spread) = pick(point);
                [at - spread, at + spread]
            };
            let ticks = ticks(ends(points.iter().flat_map(both)), 6);
            (ends(ticks.iter().copied()), ticks)
        };
        let ((x_low, x_high), x_ticks) = outer(|point| (point.at.0, point.spread.0));
        let ((y_low, y_high), y_ticks) = outer(|point| (point.at.1, point.spread.1));
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BELOW);
        let x_of = |x: f64| LEFT + (x - x_low) / (x_high - x_low) * (right - LEFT);
        let y_of = |y: f64| bottom - (y - y_low) / (y_high - y_low) * (bottom - ABOVE);

        let [x_label, y_label] = self.labels.map(escaped);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
             <title>{title}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">{title}</text>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{x_label}</text>\n\
             <text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">{y_label}</text>\n",
            (LEFT + right) / 2.0,
            HEIGHT - 12.0,
            (ABOVE + bottom) / 2.0,
            title = escaped(self.title),
        );
        // Writing to a String cannot fail.
        let mut put = |text: std::fmt::Arguments| {
            let _ = out.write_fmt(text);
        };
        for y in y_ticks {
            let (at, text) = (y_of(y), number(y));
            put(format_args!("<path stroke=\"#ddd\" d=\"M{LEFT} {at:.1}H{right}\"/>"));
            let (x, y) = (LEFT - 6.0, at + 4.0);
            put(format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>\n"));
        }
        for x in x_ticks {
            let (at, text) = (x_of(x), number(x));
            put(format_args!("<path stroke=\"#ddd\" d=\"M{at:.1} {ABOVE}V{bottom}\"/>"));
            let y = bottom + 16.0;
            put(format_args!(
                "<text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>\n"
            ));
        }
        let mut taken: Vec<Place> = Vec::new();
        for (point, colour) in points.iter().zip(COLOURS.iter().cycle()) {
            let ((x, y), (dx, dy)) = (point.at, point.spread);
            let [left, middle, end] = [x - dx, x, x + dx].map(x_of);
            let [high, centre, low] = [y + dy, y, y - dy].map(y_of);
            put(format_args!(
                "<path stroke=\"{colour}\" fill=\"none\" d=\"M{left:.1} {centre:.1}H{end:.1}M{middle:.1} {high:.1}V{low:.1}\"/>\
                 <circle cx=\"{middle:.1}\" cy=\"{centre:.1}\" r=\"4\" fill=\"{colour}\"/>"
            ));
            let place = Place::beside((middle, centre), &point.name, &taken);
            let Place { left, base, .. } = place;
            taken.push(place);
            put(format_args!(
                "<text x=\"{left:.1}\" y=\"{base:.1}\" fill=\"{colour}\">{}</text>\n",
                escaped(&point.name)
            ));
        }
        out + "</svg>\n"
    }
}

/// The place of a name: from `left` on, `width` wide, above `base`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    left: f64,
    width: f64,
    base: f64,
}

impl Place {
    /// The first corner of the point at which the name is inside of the picture and on no other name; the first of all where none
    /// is.
    fn beside((x, y): (f64, f64), name: &str, taken: &[Self]) -> Self {
        // Of a letter of 12 pixels, roughly.
        let width = 7.0 * name.chars().count() as f64;
        let (right, left) = (x + 8.0, x - 8.0 - width);
        let corners = [(right, y - 6.0), (right, y + 16.0), (left, y - 6.0), (left, y + 16.0)];
        let places = corners.map(|(left, base)| Self { left, width, base });
        let inside = |place: &&Self| place.left >= LEFT && place.left + width <= WIDTH;
        let free = |place: &&Self| !taken.iter().any(|other| place.meets(other));
        let found = places.iter().filter(inside).find(free);
        *found.or(places.iter().find(inside)).unwrap_or(&places[0])
    }

    fn meets(&self, other: &Self) -> bool {
        self.left < other.left + other.width
            && other.left < self.left + self.width
            && (self.base - other.base).abs() < 14.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, at: (f64, f64), spread: (f64, f64)) -> Point {
        Point { name: name.into(), at, spread }
    }

    #[test]
    fn points_are_where_their_numbers_are() {
        let points = vec![
            point("low", (0.0, 0.0), (0.0, 0.0)),
            point("high<", (10.0, 1.0), (0.0, 0.0)),
            point("nowhere", (f64::NAN, 1.0), (0.0, 0.0)),
        ];
        let svg = Scatter { title: "a & b", labels: ["x", "y"], points }.svg();
        assert!(svg.contains("<circle cx=\"64.0\" cy=\"368.0\""), "{svg}");
        assert!(svg.contains("<circle cx=\"616.0\" cy=\"40.0\""), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("high&lt;") && svg.contains("a &amp; b") && !svg.contains("NaN"));
    }

    #[test]
    fn names_do_not_lie_on_each_other() {
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(Place::beside((300.0, 200.0), "a name", &taken));
        }
        for (i, place) in taken.iter().enumerate() {
            assert!(taken.iter().skip(i + 1).all(|other| !place.meets(other)), "{taken:?}");
        }
        // At the right edge a name goes to the left.
        let edge = Place::beside((WIDTH - 5.0, 200.0), "a name", &[]);
        assert!(edge.left + edge.width < WIDTH, "{edge:?}");
    }

    #[test]
    fn no_points_are_a_frame() {
        let svg = Scatter { title: "none", labels: ["x", "y"], points: Vec::new() }.svg();
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
    }
}
