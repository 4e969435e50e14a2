use image::*;
use std::io::Cursor;
fn main() {
    // Four quadrants: red, green / blue, white; 12 x 8, told apart however it is turned.
    let img = RgbImage::from_fn(12, 8, |x, y| match (x < 6, y < 4) {
        (true, true) => Rgb([255, 0, 0]),
        (false, true) => Rgb([0, 255, 0]),
        (true, false) => Rgb([0, 0, 255]),
        (false, false) => Rgb([255, 255, 255]),
    });
    let d = DynamicImage::ImageRgb8(img);
    let dir = "tests/samples/";
    for (f, e) in [
        (ImageFormat::Png, "png"),
        (ImageFormat::Gif, "gif"),
        (ImageFormat::WebP, "webp"),
        (ImageFormat::Bmp, "bmp"),
    ] {
        if e == "gif" {
            DynamicImage::ImageRgba8(d.to_rgba8())
                .save_with_format(format!("{dir}quadrants.{e}"), f)
                .unwrap();
        } else {
            d.save_with_format(format!("{dir}quadrants.{e}"), f)
                .unwrap();
        }
    }
    // JPEG: blocks of 8, so larger.
    let big = d.resize_exact(48, 32, imageops::FilterType::Nearest);
    let mut out = Cursor::new(vec![]);
    codecs::jpeg::JpegEncoder::new_with_quality(&mut out, 95)
        .encode_image(&big)
        .unwrap();
    let jpg = out.into_inner();
    std::fs::write(format!("{dir}quadrants.jpg"), &jpg).unwrap();
    // EXIF orientation 6: to be turned by 90 degrees clockwise.
    let exif: &[u8] = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let mut side = jpg[..2].to_vec();
    side.extend([0xff, 0xe1]);
    side.extend(((exif.len() + 2) as u16).to_be_bytes());
    side.extend(exif);
    side.extend(&jpg[2..]);
    std::fs::write(format!("{dir}sideways.jpg"), &side).unwrap();
    // animated gif: first red, then blue
    let file = std::fs::File::create(format!("{dir}blink.gif")).unwrap();
    let mut enc = codecs::gif::GifEncoder::new(file);
    for c in [[255, 0, 0, 255], [0, 0, 255, 255]] {
        enc.encode_frame(Frame::new(RgbaImage::from_pixel(6, 4, Rgba(c))))
            .unwrap();
    }
    drop(enc);
    let noise = RgbImage::from_fn(32, 32, |x, y| {
        let v = (x * 7919 + y * 104729).wrapping_mul(2654435) >> 7;
        Rgb([v as u8, (v >> 8) as u8, (v >> 16) as u8])
    });
    let mut out = Cursor::new(vec![]);
    noise.write_to(&mut out, ImageFormat::Png).unwrap();
    let png = out.into_inner();
    std::fs::write(format!("{dir}truncated.png"), &png[..png.len() / 2]).unwrap();
}
