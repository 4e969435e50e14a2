//! The file that is shown: opened so that it cannot block, and read as text whatever its encoding.

use std::{
    borrow::Cow,
    fs::{File, FileType, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::ShowError;

/// A regular file, open, with its first bytes read.
pub(super) struct Source {
    file: File,
    path: PathBuf,
    len: u64,
    head: Vec<u8>,
    encoding: Encoding,
}

/// How the file's characters are written, as its byte order mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// Without a mark, or with one that means nothing in a text without byte order.
    Utf8 {
        mark: usize,
    },
    Utf16Le,
    Utf16Be,
}

impl Source {
    /// How much of the file is looked at to tell what it is.
    pub(super) const HEAD_LEN: usize = 64 * 1024;

    /// Opens a regular file; anything else is refused without waiting for it.
    pub(super) fn open(path: &Path) -> Result<Self, ShowError> {
        let failed = |source| ShowError::Open {
            path: path.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        options.read(true);
        // Opening a pipe would wait for somebody to write to it.
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        }
        let file = match options.open(path) {
            Ok(file) => file,
            // A directory cannot be opened on every platform, nor can a socket on any.
            Err(error) => {
                let special = std::fs::metadata(path).ok().filter(|it| !it.is_file());
                return Err(match special {
                    Some(it) => ShowError::NotAFile {
                        path: path.to_owned(),
                        found: name_of(it.file_type()),
                    },
                    None => failed(error),
                });
            }
        };
        // Asked of the open file: the path could have changed its meaning in between.
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(ShowError::NotAFile {
                path: path.to_owned(),
                found: name_of(metadata.file_type()),
            });
        }
        let mut source = Self {
            file,
            path: path.to_owned(),
            len: metadata.len(),
            head: Vec::new(),
            encoding: Encoding::Utf8 { mark: 0 },
        };
        let mut head = Vec::new();
        (&source.file)
            .take(Self::HEAD_LEN as u64)
            .read_to_end(&mut head)
            .map_err(|error| source.failed(error))?;
        source.encoding = Encoding::of(&head);
        // Some file systems give a length of 0 for what they make up on the fly.
        source.len = source.len.max(head.len() as u64);
        source.head = head;
        Ok(source)
    }

    /// The extension of the file's name, in lower case.
    pub(super) fn extension(&self) -> Option<String> {
        Some(self.path.extension()?.to_str()?.to_ascii_lowercase())
    }

    /// The file's length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The first bytes as they are in the file, at most [`Source::HEAD_LEN`].
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether [`Source::head`] is the whole file.
    pub(super) fn head_is_all(&self) -> bool {
        self.len <= self.head.len() as u64
    }

    /// The first bytes as text, in UTF-8 if the file says that it is in any Unicode encoding.
    pub(super) fn head_text(&self) -> Cow<'_, [u8]> {
        match self.encoding {
            Encoding::Utf8 { mark } => Cow::Borrowed(&self.head[mark..]),
            _ => {
                let mut text = Vec::new();
                Utf16::new(&self.head[2..], self.encoding)
                    .read_to_end(&mut text)
                    .expect("a slice can be read");
                Cow::Owned(text)
            }
        }
    }

    /// Whether the encoding is one in which zero bytes are part of ordinary text.
    pub(super) fn is_utf16(&self) -> bool {
        !matches!(self.encoding, Encoding::Utf8 { .. })
    }

    /// Reads the file's bytes from `offset`.
    pub(super) fn bytes(&self, offset: u64) -> Result<BufReader<&File>, ShowError> {
        self.at(offset).map(BufReader::new)
    }

    /// Reads the file's text, as UTF-8 and without a byte order mark, from about `offset` bytes
    /// after its beginning.
    pub(super) fn text(&self, offset: u64) -> Result<Box<dyn BufRead + '_>, ShowError> {
        Ok(match self.encoding {
            Encoding::Utf8 { mark } => Box::new(BufReader::new(self.at(offset + mark as u64)?)),
            _ => {
                let file = self.at((offset & !1) + 2)?;
                let units = Utf16::new(BufReader::new(file), self.encoding);
                Box::new(BufReader::new(units))
            }
        })
    }

    /// The error for what went wrong while the file was read.
    pub(super) fn failed(&self, source: io::Error) -> ShowError {
        ShowError::Read {
            path: self.path.clone(),
            source,
        }
    }

    fn at(&self, offset: u64) -> Result<&File, ShowError> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))
            .map_err(|error| self.failed(error))?;
        Ok(file)
    }
}

impl Encoding {
    fn of(head: &[u8]) -> Self {
        match head {
            [0xef, 0xbb, 0xbf, ..] => Self::Utf8 { mark: 3 },
            [0xff, 0xfe, ..] => Self::Utf16Le,
            [0xfe, 0xff, ..] => Self::Utf16Be,
            _ => Self::Utf8 { mark: 0 },
        }
    }
}

/// UTF-16 read as UTF-8; what is not valid becomes U+FFFD.
struct Utf16<R> {
    bytes: R,
    big_endian: bool,
    /// A first half whose second half was not there.
    put_back: Option<u16>,
    /// Of a character that did not fit the reader's buffer.
    rest: [u8; 4],
    rest_len: usize,
}

impl<R: Read> Utf16<R> {
    fn new(bytes: R, encoding: Encoding) -> Self {
        Self {
            bytes,
            big_endian: encoding == Encoding::Utf16Be,
            put_back: None,
            rest: [0; 4],
            rest_len: 0,
        }
    }

    fn unit(&mut self) -> io::Result<Option<u16>> {
        if let Some(unit) = self.put_back.take() {
            return Ok(Some(unit));
        }
        let mut pair = [0; 2];
        match self.bytes.read_exact(&mut pair) {
            Ok(()) if self.big_endian => Ok(Some(u16::from_be_bytes(pair))),
            Ok(()) => Ok(Some(u16::from_le_bytes(pair))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn character(&mut self) -> io::Result<Option<char>> {
        let Some(first) = self.unit()? else {
            return Ok(None);
        };
        if let Some(c) = char::from_u32(first.into()) {
            return Ok(Some(c));
        }
        let Some(second) = self.unit()? else {
            return Ok(Some(char::REPLACEMENT_CHARACTER));
        };
        let pair = char::decode_utf16([first, second])
            .next()
            .and_then(Result::ok);
        if pair.is_none() {
            self.put_back = Some(second);
        }
        Ok(Some(pair.unwrap_or(char::REPLACEMENT_CHARACTER)))
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            if self.rest_len == 0 {
                let Some(c) = self.character()? else { break };
                self.rest_len = c.encode_utf8(&mut self.rest).len();
            }
            let now = self.rest_len.min(out.len() - filled);
            out[filled..filled + now].copy_from_slice(&self.rest[..now]);
            self.rest.copy_within(now.., 0);
            self.rest_len -= now;
            filled += now;
        }
        Ok(filled)
    }
}

fn name_of(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    if kind.is_dir() {
        "a directory"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(units: &[u16], step: usize) -> String {
        let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let mut reader = Utf16::new(&bytes[..], Encoding::Utf16Be);
        let (mut text, mut out) = (Vec::new(), vec![0; step]);
        loop {
            match reader.read(&mut out).unwrap() {
                0 => return String::from_utf8(text).unwrap(),
                n => text.extend_from_slice(&out[..n]),
            }
        }
    }

    #[test]
    fn utf16_is_read_whatever_the_size_of_the_buffer() {
        let units: Vec<u16> = "aé日🙂".encode_utf16().collect();
        for step in [1, 2, 3, 64] {
            assert_eq!(decoded(&units, step), "aé日🙂");
        }
    }

    #[test]
    fn half_a_pair_becomes_one_replacement_and_loses_nothing_else() {
        assert_eq!(decoded(&[0x61, 0xd83d, 0x62], 8), "a\u{fffd}b");
        assert_eq!(decoded(&[0xd83d, 0xd83d, 0xde42], 8), "\u{fffd}🙂");
        assert_eq!(decoded(&[0x61, 0xd83d], 8), "a\u{fffd}");
    }

    #[test]
    fn a_directory_is_refused_by_name() {
        let home = tempfile::tempdir().unwrap();
        let error = Source::open(home.path()).err().unwrap();
        assert!(
            error
                .to_string()
                .ends_with("expected a file, got a directory")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_that_nobody_writes_to_is_refused_at_once() {
        let home = tempfile::tempdir().unwrap();
        let pipe = home.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let error = Source::open(&pipe).err().unwrap();
        assert!(error.to_string().ends_with("expected a file, got a pipe"));
    }
}
