//! Pictures of every kind, on terminals of every kind.

use p2p::display::show::{ColorLevel, Graphics, Kind};

use super::{colored, file, is_harmful, plain, sample, screen, shown, verbose};

#[test]
fn pictures_are_described_where_they_cannot_be_drawn() {
    for (name, expected) in [
        ("quadrants.png", "PNG image, 12 x 8, 153 B\n"),
        ("quadrants.gif", "GIF image, 12 x 8, 75 B\n"),
        ("quadrants.webp", "WebP image, 12 x 8, 166 B\n"),
        ("quadrants.bmp", "BMP image, 12 x 8, 342 B\n"),
        ("quadrants.ico", "ICO image, 12 x 8, 105 B\n"),
        ("quadrants.jpg", "JPEG image, 48 x 32, 714 B\n"),
        ("sideways.jpg", "JPEG image, 32 x 48, 750 B\n"),
    ] {
        let found = shown(&sample(name), &plain(80));
        assert_eq!(found, (Kind::Image, expected.to_owned()));
    }
}

/// The colours in the four corners of a picture that takes `columns` and `rows` of the screen,
/// line by line.
fn corners(name: &str, (columns, rows): (u16, u16), color: ColorLevel) -> [vt100::Color; 4] {
    let (_, text) = shown(&sample(name), &colored(Graphics::HalfBlocks, color));
    let terminal = screen(&text, 40);
    let screen = terminal.screen();
    let at = |row, column| {
        let cell = screen.cell(row, column).unwrap();
        assert_eq!(cell.contents(), "▀", "{name} at {row}, {column}");
        cell.clone()
    };
    assert!(
        !screen.cell(1, columns).unwrap().has_contents(),
        "{name} is wider"
    );
    assert!(
        !screen.cell(rows + 1, 0).unwrap().has_contents(),
        "{name} is higher"
    );
    [
        at(1, 0).fgcolor(),
        at(1, columns - 1).fgcolor(),
        at(rows, 0).bgcolor(),
        at(rows, columns - 1).bgcolor(),
    ]
}

#[test]
fn every_kind_of_picture_is_drawn() {
    use vt100::Color::{Idx, Rgb};
    let expected = [
        Rgb(255, 0, 0),
        Rgb(0, 255, 0),
        Rgb(0, 0, 255),
        Rgb(255, 255, 255),
    ];
    for name in [
        "quadrants.png",
        "quadrants.gif",
        "quadrants.webp",
        "quadrants.bmp",
        "quadrants.ico",
    ] {
        assert_eq!(
            corners(name, (12, 4), ColorLevel::TrueColor),
            expected,
            "{name}"
        );
    }
    let indexed = corners("quadrants.png", (12, 4), ColorLevel::Ansi256);
    assert_eq!(indexed, [Idx(196), Idx(46), Idx(21), Idx(231)]);
    let jpeg = corners("quadrants.jpg", (48, 16), ColorLevel::Ansi256);
    assert_eq!(jpeg, indexed);
}

#[test]
fn pictures_that_are_not_drawn_are_said_to_be_what_they_are() {
    let unsupported = ": cannot be drawn: this kind of picture is not supported\n";
    let heif = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1\0\0\0\0";
    let svg = b"<?xml version=\"1.0\"?>\n<svg width=\"1\" height=\"1\">\x1b[2J</svg>\n";
    let mut spoilt = std::fs::read(sample("quadrants.png")).unwrap();
    spoilt[5] = b' ';
    for (name, content, expected) in [
        ("scan.tiff", &b"II*\0\x08\0\0\0\0\0\0\0\0\0"[..], format!("TIFF image, 14 B{unsupported}")),
        ("scan.tif", b"MM\0*\0\0\0\x08\0\0\0\0\0\0", format!("TIFF image, 14 B{unsupported}")),
        ("photo.heic", heif, format!("HEIF image, 28 B{unsupported}")),
        ("spoilt.png", &spoilt, "PNG image, 153 B: cannot be drawn: the first bytes are damaged\n".to_owned()),
        ("drawing.svg", svg, "SVG image, 59 B, as text:\n<?xml version=\"1.0\"?>\n<svg width=\"1\" height=\"1\">\\u001b[2J</svg>\n".to_owned()),
    ] {
        let (_home, path) = file(name, content);
        assert_eq!(shown(&path, &plain(80)), (Kind::Image, expected), "{name}");
    }
    // A name that promises a picture is not believed.
    let (_home, path) = file("drawing.svg", b"no drawing\n");
    let (kind, text) = shown(&path, &plain(80));
    assert_eq!(kind, Kind::Text);
    assert!(
        text.starts_with("named .svg, but what is in it is text\n"),
        "{text}"
    );
}

#[test]
fn a_photograph_held_sideways_is_shown_upright() {
    use vt100::Color::Idx;
    // Orientation 6 is made upright by a quarter turn clockwise: blue, red / white, green.
    let found = corners("sideways.jpg", (29, 22), ColorLevel::Ansi256);
    assert_eq!(found, [Idx(21), Idx(196), Idx(231), Idx(46)]);
}

#[test]
fn of_a_moving_picture_the_first_frame_is_drawn() {
    let red = vt100::Color::Rgb(255, 0, 0);
    assert_eq!(
        corners("blink.gif", (6, 2), ColorLevel::TrueColor),
        [red; 4]
    );
}

#[test]
fn pictures_are_sent_in_the_protocol_that_the_terminal_has() {
    for (graphics, start) in [
        (Graphics::Kitty, "\u{1b}_Ga=T,f=100,"),
        (Graphics::Iterm, "\u{1b}]1337;File=inline=1;"),
        (Graphics::Sixel, "\u{1b}P"),
    ] {
        let options = colored(graphics, ColorLevel::TrueColor);
        let (_, text) = shown(&sample("quadrants.png"), &options);
        let picture = text.split_once('\n').unwrap().1;
        assert!(picture.starts_with(start), "{graphics:?}: {picture:?}");
    }
}

#[test]
fn a_picture_that_claims_ten_gigapixels_is_refused_by_its_header() {
    let (kind, text) = shown(&sample("claim.png"), &plain(80));
    assert_eq!(kind, Kind::Image);
    assert_eq!(
        text,
        "PNG image, 100000 x 100000, 69 B: too large to draw: 10,000,000,000 pixels, \
         more than 64,000,000 pixels are not decoded\n"
    );
}

#[test]
fn a_picture_cut_short_gives_one_clear_line() {
    for options in [
        plain(80),
        colored(Graphics::HalfBlocks, ColorLevel::TrueColor),
    ] {
        let (_, text) = shown(&sample("truncated.png"), &options);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("PNG image, 32 x 32"), "{text}");
        assert!(text.contains("cannot be drawn"), "{text}");
    }
}

#[test]
fn pictures_cut_anywhere_never_fail_otherwise() {
    let options = colored(Graphics::HalfBlocks, ColorLevel::TrueColor);
    for name in [
        "quadrants.png",
        "blink.gif",
        "quadrants.webp",
        "quadrants.bmp",
        "quadrants.ico",
        "sideways.jpg",
    ] {
        let whole = std::fs::read(sample(name)).unwrap();
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(name);
        for len in 0..whole.len() {
            let mut spoilt = whole.clone();
            spoilt[len] ^= 0x55;
            for content in [&whole[..len], &spoilt] {
                std::fs::write(&path, content).unwrap();
                shown(&path, &options);
                let (_, text) = shown(&path, &plain(80));
                assert!(!text.contains(is_harmful), "{text:?}");
            }
        }
    }
}

#[test]
fn what_a_picture_says_about_itself_is_not_repeated() {
    let hostile = b"\x1b[2J\x1b]0;title\x07";
    let jpeg = std::fs::read(sample("quadrants.jpg")).unwrap();
    let len = u16::try_from(hostile.len() + 2).unwrap().to_be_bytes();
    // A comment, and an application's own data, right behind the start of the image.
    let mut extended = jpeg[..2].to_vec();
    for marker in [0xfe, 0xe1, 0xed] {
        extended.extend_from_slice(&[&[0xff, marker][..], &len, hostile].concat());
    }
    extended.extend_from_slice(&jpeg[2..]);
    let png = std::fs::read(sample("quadrants.png")).unwrap();
    // A text chunk behind the header, with a checksum that is wrong.
    let chunk = [
        &u32::try_from(hostile.len() + 2).unwrap().to_be_bytes()[..],
        b"tEXta\0",
        hostile,
        b"\x1b[31",
    ]
    .concat();
    let texted = [&png[..33], &chunk, &png[33..]].concat();
    for (name, content) in [("a.jpg", extended), ("a.png", texted)] {
        for content in [&content[..], &content[..content.len() / 2]] {
            let (_home, path) = file(name, content);
            let mut options = verbose();
            let (_, text) = shown(&path, &options);
            assert!(!text.contains(is_harmful), "{text:?}");
            options.color = ColorLevel::TrueColor;
            options.graphics = Graphics::HalfBlocks;
            let (_, text) = shown(&path, &options);
            assert!(!text.contains("title"), "{text:?}");
        }
    }
}
