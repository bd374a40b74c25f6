//! Reads ONNX's operators that move a window over feature maps: convolutions, pools and padding.

use super::build::{Builder, Known, Layout, Map};
use super::nodes::Arguments;
use super::tensors::shown;
use crate::files::Checked;
use crate::model::imported::Kind;
use crate::ops::{Conv2d, MaxPool, Pad};

/// A window's steps and the zeros around maps: above, to the left, below, to the right.
struct Window {
    stride: [u32; 2],
    padding: [u32; 4],
}

impl Window {
    fn of(node: &Arguments, kernel: [u32; 2], [height, width]: [u32; 2]) -> Checked<Self> {
        let stride = node.sides("strides", 1)?;
        let dilations: [u32; 2] = node.sides("dilations", 1)?;
        if dilations != [1, 1] {
            return Err(format!("dilations {dilations:?} are not supported, only 1 and 1"));
        }
        // As many as keep the sides but for the stride; an odd one before or behind.
        let same = |side: u32, kernel: u32, stride: u32, before: bool| {
            let outputs = side.checked_next_multiple_of(stride)? / stride;
            let covered = (outputs.checked_sub(1)?).checked_mul(stride)?.checked_add(kernel)?;
            let all = covered.saturating_sub(side);
            let more = all.div_ceil(2);
            Some(if before { [more, all - more] } else { [all - more, more] })
        };
        let auto = node.text("auto_pad");
        let padding = match auto.as_str() {
            "" | "NOTSET" => node.sides("pads", 0)?,
            "VALID" => [0; 4],
            "SAME_UPPER" | "SAME_LOWER" => {
                let before = auto == "SAME_LOWER";
                let rows = same(height, kernel[0], stride[0], before);
                let columns = same(width, kernel[1], stride[1], before);
                let ([top, bottom], [left, right]) =
                    rows.zip(columns).ok_or("a stride is 0, or the window is too large")?;
                [top, left, bottom, right]
            }
            other => {
                return Err(format!("auto_pad {} is not supported", shown(other)));
            }
        };
        Ok(Self { stride, padding })
    }

    /// The zeros above and below, left and right, where they are alike.
    fn alike(&self) -> Option<[u32; 2]> {
        let [top, left, bottom, right] = self.padding;
        ([top, left] == [bottom, right]).then_some([top, left])
    }
}

impl Builder {
    pub fn conv(&mut self, node: &Arguments, x: Map) -> Checked<Map> {
        expect_maps(x)?;
        let (name, constant) = node.constant(1)?;
        let (&[_, _, rows, columns], shape) = (&constant.sides[..], self.shape(x)?) else {
            return Err(format!(
                "{} has the shape {:?}, but has to have four dimensions",
                shown(name),
                constant.sides
            ));
        };
        let side = |side: usize| {
            u32::try_from(side).map_err(|_| format!("the kernel's side {side} is too large"))
        };
        let kernel = [side(rows)?, side(columns)?];
        let window = Window::of(node, kernel, [shape.height(), shape.width()])?;
        let groups =
            u32::try_from(node.int("group", 1)).map_err(|_| "attribute group is out of range")?;
        let (mut x, mut padding) = (x, [0, 0]);
        match window.alike() {
            Some(alike) => padding = alike,
            None => x = self.padded(x, window.padding)?,
        }
        let weights = self.constant(name, constant, constant.sides.clone())?;
        let kind = Kind::Conv { conv: Conv2d { stride: window.stride, padding }, groups };
        let y = self.layer(kind, &[x], vec![weights], x.layout)?;
        if node.input(2).is_none() {
            return Ok(y);
        }
        let (name, bias) = node.constant(2)?;
        let channels = self.shape(y)?.channels() as usize;
        let bias = self.constant(name, bias, vec![channels])?;
        self.layer(Kind::ChannelAdd, &[y], vec![bias], y.layout)
    }

    fn padded(&mut self, x: Map, [top, left, bottom, right]: [u32; 4]) -> Checked<Map> {
        if [top, left, bottom, right] == [0; 4] {
            return Ok(x);
        }
        self.layer(Kind::Pad(Pad { top, bottom, left, right }), &[x], vec![], x.layout)
    }

    pub fn pad(&mut self, node: &Arguments, x: Map) -> Checked<Map> {
        expect_maps(x)?;
        let mode = node.text("mode");
        if !matches!(mode.as_str(), "" | "constant") {
            return Err(format!("padding by {} is not supported, only by zeros", shown(&mode)));
        }
        let zeros = match node.input(2) {
            None => true,
            Some(Known::Constant(_, value)) => self.scalar(value)? == Some(0.0),
            Some(Known::Whole(whole)) => whole.known().as_deref() == Some(&[0]),
            Some(_) => false,
        };
        if !zeros {
            return Err("padding with anything but a constant 0 is not supported".into());
        }
        let pads = node.wholes("pads", 1)?.ok_or("pads are missing")?;
        let axes = node.wholes("axes", 3)?.unwrap_or(vec![0, 1, 2, 3]);
        if pads.len() != 2 * axes.len() {
            return Err(format!(
                "there are {} pads for {} dimensions, each of which needs two",
                pads.len(),
                axes.len()
            ));
        }
        let mut padding = [0; 4];
        for (place, &pad) in pads.iter().enumerate() {
            let axis = axes.get(place % axes.len()).copied().unwrap_or(0);
            let to = match if axis < 0 { axis.saturating_add(4) } else { axis } {
                _ if pad == 0 => continue,
                2 => 0,
                3 => 1,
                _ => {
                    return Err(
                        "padding images or channels is not supported, only rows and columns".into(),
                    );
                }
            };
            let number = u32::try_from(pad).ok().filter(|&pad| pad <= 16_384);
            let number = number.ok_or_else(|| {
                format!("padding by {pad} zeros is not supported, only by 0 to 16384")
            })?;
            if let Some(end) = padding.get_mut(to + 2 * (place / axes.len())) {
                *end = number;
            }
        }
        self.padded(x, padding)
    }

    pub fn pool(&mut self, node: &Arguments, x: Map) -> Checked<Map> {
        expect_maps(x)?;
        let shape = self.shape(x)?;
        let [height, width] = [shape.height(), shape.width()];
        let kernel = node.sides("kernel_shape", 0)?;
        let window = Window::of(node, kernel, [height, width])?;
        let Window { stride: [stride, _], .. } = window;
        let whole = kernel == [height, width] && window.padding == [0; 4];
        let square = kernel[0] == kernel[1] && window.stride[0] == window.stride[1];
        let wrong = || {
            format!(
                "a window {kernel:?}, strides {:?} and padding {:?} are not supported together",
                window.stride, window.padding
            )
        };
        // Windows that reach over the end: the same where none does.
        let reaches = |side: u32, pads: u32| {
            (side + pads).checked_sub(kernel[0]).and_then(|rest| rest.checked_rem(stride))
                != Some(0)
        };
        let [top, left, bottom, right] = window.padding;
        let over = node.int("ceil_mode", 0) != 0
            && (reaches(height, top + bottom) || reaches(width, left + right));
        let padding = window.alike().filter(|[rows, columns]| rows == columns && square && !over);
        let [padding, _] = if whole { [0; 2] } else { padding.ok_or_else(wrong)? };
        let counted = node.int("count_include_pad", 0) != 0;
        let kind = match node.operator() {
            "AveragePool" if whole => Kind::GlobalAvgPool,
            "MaxPool" if square => Kind::MaxPool(MaxPool { kernel: kernel[0], stride, padding }),
            "AveragePool" if padding == 0 && kernel[0] == stride => {
                Kind::AvgPool { kernel: stride }
            }
            "AveragePool" if stride == 1 && !counted && kernel[0] == 2 * padding + 1 => {
                Kind::LocalMean { reach: padding }
            }
            _ => return Err(wrong()),
        };
        self.layer(kind, &[x], vec![], x.layout)
    }
}

/// Refuses a map whose channels do not come before rows and columns.
pub fn expect_maps(x: Map) -> Checked<()> {
    if x.layout == Layout::Nchw {
        Ok(())
    } else {
        Err("the input is not feature maps [N, C, H, W]".into())
    }
}
