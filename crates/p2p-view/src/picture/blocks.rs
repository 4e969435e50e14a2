//! Pictures as characters: the upper and the lower half of each cell is a pixel.

use std::fmt::Write as _;

use anstyle::{Color, RgbColor};
use image::{Rgba, RgbaImage};

use super::super::ColorLevel;

/// Draws pixels as half-blocks, two rows of them to a line.
pub(super) fn draw(pixels: &RgbaImage, level: ColorLevel) -> Vec<u8> {
    let mut out = String::new();
    for y in (0..pixels.height()).step_by(2) {
        // What the terminal writes with; what has not changed is not said again.
        let (mut ink, mut paper) = (None, None);
        for x in 0..pixels.width() {
            let top = seen(pixels.get_pixel(x, y), level);
            let bottom = pixels.get_pixel_checked(x, y + 1);
            let bottom = bottom.and_then(|it| seen(it, level));
            let (mark, new_ink, new_paper) = match (top, bottom) {
                (None, None) => (' ', ink, None),
                (Some(top), bottom) => ('▀', Some(top), bottom),
                (None, bottom) => ('▄', bottom, None),
            };
            if let Some(color) = new_ink.filter(|it| ink != Some(*it)) {
                write!(out, "{}", color.render_fg()).expect("a String takes any text");
            }
            match new_paper {
                it if it == paper => {}
                Some(color) => {
                    write!(out, "{}", color.render_bg()).expect("a String takes any text");
                }
                None => out.push_str("\u{1b}[49m"),
            }
            (ink, paper) = (new_ink, new_paper);
            out.push(mark);
        }
        out.push_str("\u{1b}[0m\n");
    }
    out.into_bytes()
}

/// The colour of a pixel, if it can be seen.
fn seen(pixel: &Rgba<u8>, level: ColorLevel) -> Option<Color> {
    let [red, green, blue, alpha] = pixel.0;
    let rgb = RgbColor(red, green, blue);
    // What lies behind is the terminal's background, which is not known.
    (alpha >= 128).then(|| match level {
        ColorLevel::TrueColor => rgb.into(),
        // Never one of the first sixteen, which are the theme's, and not known either.
        _ => anstyle_lossy::rgb_to_xterm(rgb).into(),
    })
}

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
}
