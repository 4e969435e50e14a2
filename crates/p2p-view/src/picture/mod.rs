//! Pictures: what they are, and drawn as well as the terminal can.

mod blocks;
mod protocol;

use std::io::{BufRead, Cursor, Seek};

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbaImage,
    metadata::Orientation,
};

use super::{
    ColorLevel, Graphics, ShowError, ShowOptions, kind,
    sanitise::{fit, sanitise},
    screen::{Role, Screen},
    source::Source,
    text,
};
use crate::format::{bytes as size, counted};

/// Prints what a picture is, and draws it.
pub(super) fn show(
    source: &Source,
    options: &ShowOptions,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    let Some(format) = kind::image_format(source.head()) else {
        return describe(source, options, screen);
    };
    let mut about = format!("{} image", name(format));
    // A decoder may read all of a file into memory.
    let opened = if source.len() <= MAX_FILE_LEN {
        Opened::new(source.bytes(0)?, format)
    } else {
        Opened::new(Cursor::new(source.head()), format)
    };
    let drawn = match opened {
        Ok(opened) => {
            let (width, height) = opened.shown_size();
            about += &format!(", {width} x {height}");
            if source.len() <= MAX_FILE_LEN {
                opened.decode(options)
            } else {
                Err(Undrawn::TooLarge(size(source.len())))
            }
        }
        Err(error) => Err(error),
    };
    about += &format!(", {}", size(source.len()));
    let pixels = match drawn {
        Ok(pixels) => {
            screen.line(Role::Name, &about)?;
            pixels
        }
        Err(Undrawn::Image(ImageError::IoError(error))) if is_real(&error) => {
            return Err(source.failed(error));
        }
        Err(why) => {
            screen.text(Role::Name, &about)?;
            let why = sanitise(&why.to_string()).into_owned();
            return screen.line(Role::Warning, &format!(": {}", fit(&why, MAX_REASON)));
        }
    };
    let Some(picture) = pixels else {
        return Ok(());
    };
    screen.picture(&match options.graphics {
        Graphics::None => return Ok(()),
        Graphics::HalfBlocks => blocks::draw(&picture.pixels, options.color),
        Graphics::Kitty => protocol::kitty(&picture),
        Graphics::Iterm => protocol::iterm(&picture),
        Graphics::Sixel => protocol::sixel(&picture),
    })
}

/// Says what a picture is that is not decoded; one that is written as text can be read.
fn describe(
    source: &Source,
    options: &ShowOptions,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    let known = infer::get(source.head()).map(|it| it.extension().to_uppercase());
    let name = match known.as_deref() {
        Some("TIF") => "TIFF",
        Some(name) if !kind::is_svg(&source.head_text()) => name,
        _ => "SVG",
    };
    let about = format!("{name} image, {}", size(source.len()));
    screen.text(Role::Name, &about)?;
    if name != "SVG" {
        let why = match name {
            "PNG" | "JPG" | "GIF" | "WEBP" | "BMP" | "ICO" => "the first bytes are damaged",
            _ => "this kind of picture is not supported",
        };
        return screen.line(Role::Warning, &format!(": cannot be drawn: {why}"));
    }
    screen.line(Role::Note, ", as text:")?;
    text::show(source, options, screen)
}

/// A picture scaled to the window.
struct Picture {
    pixels: RgbaImage,
    /// The character cells that it takes, across and down.
    cells: (u32, u32),
}

/// A picture of which the header has been read.
struct Opened<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    orientation: Orientation,
}

/// Why a picture is not drawn.
#[derive(Debug, thiserror::Error)]
enum Undrawn {
    #[error("cannot be drawn: {0}")]
    Image(#[from] ImageError),
    #[error("too large to draw: {0}, more than {max} is not decoded", max = size(MAX_FILE_LEN))]
    TooLarge(String),
    #[error("too large to draw: {0}, more than {max} are not decoded", max = counted(MAX_PIXELS, "pixel"))]
    TooManyPixels(String),
}

impl<'a> Opened<'a> {
    fn new(reader: impl BufRead + Seek + 'a, format: ImageFormat) -> Result<Self, Undrawn> {
        let mut reader = ImageReader::with_format(reader, format);
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_ALLOC);
        reader.limits(limits);
        let mut decoder: Box<dyn ImageDecoder + 'a> = Box::new(reader.into_decoder()?);
        // Without one, or with one that cannot be read, a picture is upright.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        Ok(Self {
            decoder,
            orientation,
        })
    }

    /// Width and height in pixels, when the picture is held upright.
    fn shown_size(&self) -> (u32, u32) {
        let (width, height) = self.decoder.dimensions();
        if self.is_sideways() {
            (height, width)
        } else {
            (width, height)
        }
    }

    fn is_sideways(&self) -> bool {
        // Exif numbers those that are turned by a quarter from 5 on.
        self.orientation.to_exif() >= 5
    }

    /// Decodes the picture, even if it cannot be drawn, to know whether it is damaged.
    fn decode(self, options: &ShowOptions) -> Result<Option<Picture>, Undrawn> {
        let (width, height) = self.decoder.dimensions();
        // The header alone makes these claims; nothing has been allocated for them.
        let pixels = u64::from(width) * u64::from(height);
        if pixels > MAX_PIXELS || self.decoder.total_bytes() > MAX_ALLOC {
            return Err(Undrawn::TooManyPixels(counted(pixels, "pixel")));
        }
        let (is_sideways, orientation) = (self.is_sideways(), self.orientation);
        let shown_size = self.shown_size();
        let decoded = DynamicImage::from_decoder(self.decoder)?;
        if options.graphics == Graphics::None || options.color == ColorLevel::None {
            return Ok(None);
        }
        let (cells, (mut width, mut height)) = scaled(shown_size, options);
        if is_sideways {
            (width, height) = (height, width);
        }
        // Turned after it has been made small.
        let mut small = if (width, height) == (decoded.width(), decoded.height()) {
            decoded
        } else {
            decoded.thumbnail_exact(width, height)
        };
        small.apply_orientation(orientation);
        Ok(Some(Picture {
            pixels: small.to_rgba8(),
            cells,
        }))
    }
}

/// The cells that a picture takes in the window and the pixels it has there, its shape kept; it
/// is made smaller where it must be, and never larger.
fn scaled((width, height): (u32, u32), options: &ShowOptions) -> ((u32, u32), (u32, u32)) {
    let cell = match options.graphics {
        Graphics::HalfBlocks => (1, 2),
        _ => options.cell,
    };
    let (cell_width, cell_height) = (f64::from(cell.0.max(1)), f64::from(cell.1.max(1)));
    // The line above and the prompt below take a row each.
    let fitting = options.height.saturating_sub(2).clamp(1, MAX_ROWS);
    let rows = options.rows_or(fitting.into()).clamp(1, MAX_ROWS.into());
    let columns = options.width.clamp(1, MAX_COLUMNS);
    let scale = (f64::from(columns) * cell_width / f64::from(width.max(1)))
        .min(rows as f64 * cell_height / f64::from(height.max(1)))
        .min(1.0);
    let pixels = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    let (width, height) = (pixels(width), pixels(height));
    let cells = |side: u32, cell: f64| (f64::from(side) / cell).ceil() as u32;
    (
        (cells(width, cell_width), cells(height, cell_height)),
        (width, height),
    )
}

/// Whether an error is the disk's rather than the picture's.
fn is_real(error: &std::io::Error) -> bool {
    error.raw_os_error().is_some()
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Gif => "GIF",
        ImageFormat::WebP => "WebP",
        ImageFormat::Ico => "ICO",
        _ => "BMP",
    }
}

/// What good cameras make, decoded in about a second; a file of a few kilobytes can claim as many.
const MAX_PIXELS: u64 = 64_000_000;

/// Bytes of decoded pixels, three for each. With the file and what decoders need besides, which
/// was measured to be as much again, half a gigabyte of memory is always enough.
const MAX_ALLOC: u64 = 192 << 20;

/// A larger file is not decoded, as decoders may read it all into memory.
const MAX_FILE_LEN: u64 = 128 << 20;

/// Pictures are kept to a part of a very large window.
const MAX_COLUMNS: u16 = 200;
const MAX_ROWS: u16 = 100;

/// Columns for the reason why a picture is not drawn.
const MAX_REASON: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn options(graphics: Graphics) -> ShowOptions {
        let mut options = ShowOptions::plain();
        options.color = ColorLevel::TrueColor;
        options.graphics = graphics;
        options
    }

    #[test]
    fn a_picture_keeps_its_shape_and_stays_in_the_window() {
        let blocks = options(Graphics::HalfBlocks);
        assert_eq!(scaled((800, 200), &blocks), ((80, 10), (80, 20)));
        assert_eq!(scaled((100, 1000), &blocks), ((4, 22), (4, 44)));
        assert_eq!(scaled((1, 100_000), &blocks), ((1, 22), (1, 44)));
        assert_eq!(scaled((16, 16), &blocks), ((16, 8), (16, 16)));
        let kitty = options(Graphics::Kitty);
        assert_eq!(scaled((8000, 2000), &kitty), ((80, 10), (800, 200)));
        assert_eq!(scaled((16, 16), &kitty), ((2, 1), (16, 16)));
    }
}
