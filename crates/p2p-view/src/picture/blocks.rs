//! Pictures as characters: the upper and the lower half of each cell is a pixel.

use std::fmt::Write as _;

use image::{Rgba, RgbaImage};

use super::super::ColorLevel;

/// Draws pixels as half-blocks, two rows of them to a line.
pub(super) fn draw(pixels: &RgbaImage, color: ColorLevel) -> Vec<u8> {
    let mut out = String::new();
    for y in (0..pixels.height()).step_by(2) {
        let mut pen = Pen::default();
        for x in 0..pixels.width() {
            let top = seen(pixels.get_pixel(x, y));
            let bottom = pixels.get_pixel_checked(x, y + 1).and_then(seen);
            let (mark, ink, paper) = match (top, bottom) {
                (None, None) => (' ', None, None),
                (Some(top), None) => ('▀', Some(top), None),
                (None, Some(bottom)) => ('▄', Some(bottom), None),
                (Some(top), Some(bottom)) => ('▀', Some(top), Some(bottom)),
            };
            pen.change(&mut out, ink, paper, color);
            out.push(mark);
        }
        out.push_str("\u{1b}[0m\n");
    }
    out.into_bytes()
}

type Rgb = [u8; 3];

/// The colours that the terminal writes with; what has not changed is not said again.
#[derive(Default)]
struct Pen {
    ink: Option<Rgb>,
    paper: Option<Rgb>,
}

impl Pen {
    fn change(
        &mut self,
        out: &mut String,
        ink: Option<Rgb>,
        paper: Option<Rgb>,
        color: ColorLevel,
    ) {
        // A space shows no ink, whatever it is.
        if let Some(ink) = ink.filter(|it| self.ink != Some(*it)) {
            push_color(out, "38", ink, color);
            self.ink = Some(ink);
        }
        if self.paper != paper {
            match paper {
                Some(paper) => push_color(out, "48", paper, color),
                None => out.push_str("\u{1b}[49m"),
            }
            self.paper = paper;
        }
    }
}

/// The colour of a pixel, if it can be seen.
fn seen(pixel: &Rgba<u8>) -> Option<Rgb> {
    let [red, green, blue, alpha] = pixel.0;
    // What lies behind is the terminal's background, which is not known.
    (alpha >= 128).then_some([red, green, blue])
}

fn push_color(out: &mut String, which: &str, rgb: Rgb, color: ColorLevel) {
    let [red, green, blue] = rgb;
    match color {
        ColorLevel::TrueColor => write!(out, "\u{1b}[{which};2;{red};{green};{blue}m"),
        ColorLevel::Ansi256 => write!(out, "\u{1b}[{which};5;{}m", nearest(rgb)),
        ColorLevel::None => Ok(()),
    }
    .expect("a String takes any text");
}

/// The nearest colour of xterm's palette: of its cube of 6 x 6 x 6 or of its 24 greys. The first
/// sixteen are the theme's, and not known.
fn nearest(rgb: Rgb) -> u8 {
    let step = |value: u8| {
        let steps = CUBE.iter().enumerate();
        let (index, _) = steps
            .min_by_key(|(_, it)| it.abs_diff(value))
            .expect("six steps");
        index
    };
    let [r, g, b] = rgb.map(step);
    let cube = [CUBE[r], CUBE[g], CUBE[b]];
    let mean = (u16::from(rgb[0]) + u16::from(rgb[1]) + u16::from(rgb[2])) / 3;
    // Greys go from 8 to 238 in steps of 10.
    let grey = (mean.saturating_sub(3) / 10).min(23) as u8;
    let distance = |other: Rgb| -> u32 {
        let parts = rgb.iter().zip(other);
        parts.map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
    };
    if distance([8 + 10 * grey; 3]) < distance(cube) {
        232 + grey
    } else {
        (16 + 36 * r + 6 * g + b) as u8
    }
}

/// The steps of a side of the cube.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Rgba<u8> = Rgba([255, 0, 0, 255]);
    const BLUE: Rgba<u8> = Rgba([0, 0, 255, 255]);
    const CLEAR: Rgba<u8> = Rgba([9, 9, 9, 0]);

    fn drawn(width: u32, pixels: &[Rgba<u8>], color: ColorLevel) -> String {
        let bytes: Vec<u8> = pixels.iter().flat_map(|it| it.0).collect();
        let height = pixels.len() as u32 / width;
        let image = RgbaImage::from_raw(width, height, bytes).unwrap();
        String::from_utf8(draw(&image, color)).unwrap()
    }

    #[test]
    fn a_cell_is_two_pixels_and_colours_are_said_once() {
        assert_eq!(
            drawn(2, &[RED, RED, BLUE, BLUE], ColorLevel::TrueColor),
            "\u{1b}[38;2;255;0;0m\u{1b}[48;2;0;0;255m▀▀\u{1b}[0m\n"
        );
        assert_eq!(
            drawn(1, &[RED, BLUE], ColorLevel::Ansi256),
            "\u{1b}[38;5;196m\u{1b}[48;5;21m▀\u{1b}[0m\n"
        );
    }

    #[test]
    fn what_is_clear_is_left_to_the_terminal() {
        assert_eq!(
            drawn(
                3,
                &[RED, CLEAR, CLEAR, CLEAR, RED, CLEAR],
                ColorLevel::Ansi256
            ),
            "\u{1b}[38;5;196m▀▄ \u{1b}[0m\n"
        );
        assert_eq!(
            drawn(1, &[RED, BLUE, RED], ColorLevel::Ansi256)
                .lines()
                .nth(1),
            Some("\u{1b}[38;5;196m▀\u{1b}[0m")
        );
    }

    #[test]
    fn the_nearest_colour_of_the_palette_is_nearest() {
        let palette: Vec<Rgb> = (0..216u32)
            .map(|i| [i / 36, i / 6 % 6, i % 6].map(|it| CUBE[it as usize]))
            .chain((0..24).map(|i| [8 + 10 * i; 3]))
            .collect();
        let distance = |a: Rgb, b: Rgb| -> u32 {
            a.iter()
                .zip(b)
                .map(|(a, b)| u32::from(a.abs_diff(b)).pow(2))
                .sum()
        };
        for i in 0..=u16::MAX {
            let rgb = [(i >> 11) << 3, (i >> 5 & 63) << 2, (i & 31) << 3].map(|it| it as u8);
            let found = distance(palette[usize::from(nearest(rgb)) - 16], rgb);
            let best = palette.iter().map(|it| distance(*it, rgb)).min().unwrap();
            assert!(found <= best + 40, "{rgb:?}: {found} instead of {best}");
        }
    }
}
