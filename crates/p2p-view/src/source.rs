//! The file that is shown: opened so that it cannot block, and read as text whatever its encoding.

use std::{
    borrow::Cow,
    fs::{File, FileType, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use encoding_rs::{Encoding, UTF_8};
use encoding_rs_io::DecodeReaderBytesBuilder;

use super::ShowError;

/// A regular file, open, with its first bytes read.
pub(super) struct Source {
    file: File,
    path: PathBuf,
    len: u64,
    head: Vec<u8>,
    /// What the byte order mark says; without one, text is taken for UTF-8.
    encoding: &'static Encoding,
    mark_len: usize,
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
            encoding: UTF_8,
            mark_len: 0,
        };
        let mut head = Vec::new();
        (&source.file)
            .take(Self::HEAD_LEN as u64)
            .read_to_end(&mut head)
            .map_err(|error| source.failed(error))?;
        (source.encoding, source.mark_len) = Encoding::for_bom(&head).unwrap_or((UTF_8, 0));
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
        let head = &self.head[self.mark_len..];
        if self.is_utf16() {
            let (text, _) = self.encoding.decode_without_bom_handling(head);
            Cow::Owned(text.into_owned().into_bytes())
        } else {
            Cow::Borrowed(head)
        }
    }

    /// Whether the encoding is one in which zero bytes are part of ordinary text.
    pub(super) fn is_utf16(&self) -> bool {
        self.encoding != UTF_8
    }

    /// Reads the file's bytes from `offset`.
    pub(super) fn bytes(&self, offset: u64) -> Result<BufReader<&File>, ShowError> {
        self.at(offset).map(BufReader::new)
    }

    /// Reads the file's text, as UTF-8 and without a byte order mark, from about `offset` bytes
    /// after its beginning.
    pub(super) fn text(&self, offset: u64) -> Result<Box<dyn BufRead + '_>, ShowError> {
        if !self.is_utf16() {
            let file = self.at(offset + self.mark_len as u64)?;
            return Ok(Box::new(BufReader::new(file)));
        }
        let decoder = DecodeReaderBytesBuilder::new()
            .encoding(Some(self.encoding))
            .build(self.at((offset & !1) + self.mark_len as u64)?);
        Ok(Box::new(BufReader::new(decoder)))
    }

    /// The file's text as [`Source::text`], at most `limit` bytes of it, and whether there is more.
    pub(super) fn text_up_to(&self, limit: usize) -> Result<(Vec<u8>, bool), ShowError> {
        let mut text = Vec::new();
        self.text(0)?
            .take(limit as u64 + 1)
            .read_to_end(&mut text)
            .map_err(|error| self.failed(error))?;
        let is_part = text.len() > limit;
        text.truncate(limit);
        Ok((text, is_part))
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
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("text");
        let units = std::iter::once(&0xfeff).chain(units);
        let bytes: Vec<u8> = units.flat_map(|unit| unit.to_be_bytes()).collect();
        std::fs::write(&path, bytes).unwrap();
        let source = Source::open(&path).unwrap();
        let mut reader = source.text(0).unwrap();
        let (mut text, mut out) = (Vec::new(), vec![0; step]);
        loop {
            match reader.read(&mut out).unwrap() {
                0 => break,
                n => text.extend_from_slice(&out[..n]),
            }
        }
        assert_eq!(*source.head_text(), text);
        String::from_utf8(text).unwrap()
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
