//! Pictures for terminals that draw pixels, in the three protocols that are in use.
//!
//! All are made from decoded pixels. The file itself, which iTerm2 would take, never reaches the
//! terminal, so its decoders see no more than a PNG of this program's making.

use std::fmt::Write as _;

use data_encoding::BASE64;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use super::Picture;

/// kitty's graphics protocol: a PNG in pieces, stretched over whole cells, without an answer.
///
/// <https://sw.kovidgoyal.net/kitty/graphics-protocol/>
pub(super) fn kitty(picture: &Picture) -> Vec<u8> {
    let (columns, rows) = picture.cells;
    let encoded = BASE64.encode(&png(picture));
    let mut out = String::with_capacity(encoded.len() + 256);
    let pieces = encoded.as_bytes().chunks(KITTY_PIECE);
    let last = pieces.len() - 1;
    for (i, piece) in pieces.enumerate() {
        let more = u8::from(i < last);
        let piece = std::str::from_utf8(piece).expect("base64 is ASCII");
        let keys = if i == 0 {
            format!("a=T,f=100,q=2,c={columns},r={rows},")
        } else {
            String::new()
        };
        write!(out, "\u{1b}_G{keys}m={more};{piece}\u{1b}\\").expect("a String takes any text");
    }
    out.push('\n');
    out.into_bytes()
}

/// iTerm2's inline images, which several other terminals have taken up.
///
/// <https://iterm2.com/documentation-images.html>
pub(super) fn iterm(picture: &Picture) -> Vec<u8> {
    let (columns, rows) = picture.cells;
    let png = png(picture);
    let (len, encoded) = (png.len(), BASE64.encode(&png));
    format!(
        "\u{1b}]1337;File=inline=1;size={len};width={columns};height={rows};\
         preserveAspectRatio=1:{encoded}\u{7}\n"
    )
    .into_bytes()
}

/// DEC's sixels, with a palette chosen for the picture.
pub(super) fn sixel(picture: &Picture) -> Vec<u8> {
    let pixels = &picture.pixels;
    // There is no transparency that terminals agree upon; most have a dark background.
    let opaque = |value: u8, alpha: u8| (u16::from(value) * u16::from(alpha) / 255) as u8;
    let rgb: Vec<u8> = pixels
        .pixels()
        .flat_map(|it| {
            let [red, green, blue, alpha] = it.0;
            [
                opaque(red, alpha),
                opaque(green, alpha),
                opaque(blue, alpha),
            ]
        })
        .collect();
    let side = |it: u32| i32::try_from(it).expect("pictures are scaled to the window");
    let encoded = icy_sixel::sixel_string(
        &rgb,
        side(pixels.width()),
        side(pixels.height()),
        icy_sixel::PixelFormat::RGB888,
        icy_sixel::DiffusionMethod::Auto,
        icy_sixel::MethodForLargest::Auto,
        icy_sixel::MethodForRep::Auto,
        icy_sixel::Quality::AUTO,
    );
    let mut out = encoded.unwrap_or_default();
    out.push('\n');
    out.into_bytes()
}

fn png(picture: &Picture) -> Vec<u8> {
    let pixels = &picture.pixels;
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(
            pixels,
            pixels.width(),
            pixels.height(),
            ExtendedColorType::Rgba8,
        )
        .expect("memory takes a picture of the size that it has");
    png
}

/// The most that kitty takes at once.
const KITTY_PIECE: usize = 4096;

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;

    /// Noise, which does not compress: several pieces.
    fn picture(width: u32, height: u32) -> Picture {
        let mut state = 1u32;
        let pixels = RgbaImage::from_fn(width, height, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [red, green, blue, _] = state.to_be_bytes();
            Rgba([red, green, blue, 255])
        });
        Picture {
            pixels,
            cells: (8, 4),
        }
    }

    #[test]
    fn kitty_gets_a_png_in_pieces_it_can_take() {
        let picture = picture(80, 80);
        let out = String::from_utf8(kitty(&picture)).unwrap();
        let pieces: Vec<&str> = out.split_terminator("\u{1b}\\").collect();
        assert!(pieces[0].starts_with("\u{1b}_Ga=T,f=100,q=2,c=8,r=4,m=1;"));
        let (text, last) = pieces.split_last().unwrap();
        assert_eq!(*text, "\n");
        assert!(last.len() > 2 && last.last().unwrap().starts_with("\u{1b}_Gm=0;"));
        let data: String = last
            .iter()
            .map(|it| it.split_once(';').unwrap().1)
            .collect();
        let png = BASE64.decode(data.as_bytes()).unwrap();
        assert_eq!(
            image::load_from_memory(&png).unwrap().to_rgba8(),
            picture.pixels
        );
    }

    #[test]
    fn iterm_gets_a_png_with_its_size() {
        let picture = picture(8, 8);
        let out = String::from_utf8(iterm(&picture)).unwrap();
        let (keys, data) = out.trim_end_matches("\u{7}\n").split_once(':').unwrap();
        let png = BASE64.decode(data.as_bytes()).unwrap();
        assert!(keys.contains(&format!("size={};width=8;height=4;", png.len())));
        assert_eq!(
            image::load_from_memory(&png).unwrap().to_rgba8(),
            picture.pixels
        );
    }

    #[test]
    fn sixels_are_made_for_every_shape() {
        for (width, height) in [(1, 1), (1, 7), (800, 1), (33, 65)] {
            let out = String::from_utf8(sixel(&picture(width, height))).unwrap();
            assert!(out.starts_with("\u{1b}P"), "{width} x {height}");
            assert!(out.ends_with("\u{1b}\\\n"), "{width} x {height}");
        }
    }
}
