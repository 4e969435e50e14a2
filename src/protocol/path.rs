//! Names of files from the far end, parsed into types that cannot leave the target directory.
pub struct FileName;
pub struct RelativePath;
pub struct NameError;
