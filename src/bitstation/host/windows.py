"""Windows. Run under Wine in our tests; on real NTFS by the workflow's Windows job."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes
    import errno
    import msvcrt
    import os
    import stat
    import threading
    import time
    from collections.abc import Callable, Iterator
    from contextlib import contextmanager, suppress
    from ctypes import wintypes
    from pathlib import Path

    from bitstation.host.facts import StatFacts

    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    _FILE_READ_ATTRIBUTES = 0x80
    _SHARE_ALL = 7
    _OPEN_EXISTING = 3
    _BACKUP_SEMANTICS = 0x02000000
    _OPEN_REPARSE_POINT = 0x00200000
    _FILE_BASIC_INFO = 0
    _INVALID = ctypes.c_void_p(-1).value
    # 1601-01-01 to 1970-01-01 in units of 100 ns.
    _EPOCH_TICKS = 116444736000000000
    # Winerror 5 (access denied) and 32 (sharing violation): what a scanner or an open file causes.
    _BUSY = (5, 32, 33)
    _LOCK_OFFSET = 0x7FFF0000

    _kernel32.CreateFileW.restype = wintypes.HANDLE
    _kernel32.CreateFileW.argtypes = [
        wintypes.LPCWSTR,
        wintypes.DWORD,
        wintypes.DWORD,
        ctypes.c_void_p,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.HANDLE,
    ]
    _kernel32.GetFileInformationByHandleEx.argtypes = [
        wintypes.HANDLE,
        ctypes.c_int,
        ctypes.c_void_p,
        wintypes.DWORD,
    ]
    _kernel32.CloseHandle.argtypes = [wintypes.HANDLE]

    class _BasicInfo(ctypes.Structure):
        _fields_ = (
            ("creation", ctypes.c_int64),
            ("access", ctypes.c_int64),
            ("write", ctypes.c_int64),
            ("change", ctypes.c_int64),
            ("attributes", wintypes.DWORD),
        )

    FLUSH_FLAGS = os.O_RDWR
    """How a file must be opened to be made durable: only a handle that may write may flush."""
    HAS_MODES = False
    """Whether a file says that it may be executed: here its suffix does."""

    class FileLock:
        """Mandatory lock on one byte far past the end, so that the note stays readable."""

        def __init__(self, path: Path) -> None:
            self._path = path
            self._fd = -1

        def acquire(self) -> bool:
            """Take the lock; False when another holds it."""
            fd = self._opened()
            try:
                os.lseek(fd, _LOCK_OFFSET, os.SEEK_SET)
                msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            except OSError:
                os.close(fd)
                return False
            self._fd = fd
            return True

        def _opened(self) -> int:
            """Open the file, waiting out a run that is just removing it: until then it refuses."""
            pause_s = 0.005
            while True:
                try:
                    return os.open(
                        self._path, os.O_RDWR | os.O_CREAT | os.O_BINARY | os.O_NOINHERIT
                    )
                except PermissionError:
                    if pause_s > 0.5:
                        raise
                time.sleep(pause_s)
                pause_s *= 2

        def write_holder(self, text: str) -> None:
            """Leave a note for whoever finds the lock taken, in a file that is nobody else's."""
            if os.fstat(self._fd).st_nlink > 1:
                return
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
            os.write(self._fd, text.encode("utf-8"))

        def read_holder(self) -> str:
            """Note of the holder; empty when there is none."""
            try:
                return self._path.read_bytes()[:500].decode("utf-8", "replace")
            except OSError:
                return ""

        def release(self) -> None:
            """Give the lock back."""
            if self._fd >= 0:
                os.lseek(self._fd, _LOCK_OFFSET, os.SEEK_SET)
                msvcrt.locking(self._fd, msvcrt.LK_UNLCK, 1)
                os.close(self._fd)
                self._fd = -1

        def discard(self) -> None:
            """Give the lock back and remove its file, unless another has opened it already."""
            self.release()
            with suppress(OSError):
                os.unlink(self._path)

    def stat_facts(path: Path | int) -> StatFacts:
        """Facts of a path (a link is not followed) or of an open file."""
        if isinstance(path, int):
            found, change_ns = os.fstat(path), _change_ns(msvcrt.get_osfhandle(path))
        else:
            found, change_ns = os.lstat(path), _change_ns_of_path(path)
        return StatFacts(
            found.st_dev,
            found.st_ino,
            found.st_size,
            found.st_mtime_ns,
            change_ns,
            found.st_nlink,
            stat.S_ISREG(found.st_mode),
            bool(found.st_mode & stat.S_IWRITE),
            True,
        )

    def _change_ns_of_path(path: Path) -> int:
        handle = _kernel32.CreateFileW(
            str(path),
            _FILE_READ_ATTRIBUTES,
            _SHARE_ALL,
            None,
            _OPEN_EXISTING,
            _BACKUP_SEMANTICS | _OPEN_REPARSE_POINT,
            None,
        )
        if handle is None or handle == _INVALID:
            return 0
        try:
            return _change_ns(handle)
        finally:
            _kernel32.CloseHandle(handle)

    def _change_ns(handle: int) -> int:
        info = _BasicInfo()
        if not _kernel32.GetFileInformationByHandleEx(
            handle, _FILE_BASIC_INFO, ctypes.byref(info), ctypes.sizeof(info)
        ):
            return 0
        return (info.change - _EPOCH_TICKS) * 100 if info.change else 0

    def is_link(path: Path) -> bool:
        """Say whether the name itself is a symlink, junction or other reparse point."""
        try:
            attributes = os.lstat(path).st_file_attributes
        except FileNotFoundError:
            return False
        return bool(attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT)

    def mount_points() -> list[Path]:
        """None: a volume that is mounted in a folder is a reparse point, as links are."""
        return []

    def native_path(path: Path) -> Path:
        r"""Form of an absolute path that the system takes at any length (``\\?\``)."""
        text = str(path)
        if text.startswith("\\\\?\\"):
            return path
        if text.startswith("\\\\"):
            return Path("\\\\?\\UNC\\" + text[2:])
        return Path("\\\\?\\" + text)

    def path_limit(folder: Path) -> tuple[int, int]:
        """Longest path and longest name in characters."""
        return 32_700, 255

    def takes_length(path: Path, size_bytes: int) -> bool:
        """Say whether the volume of a file takes files so long: FAT32 ends at 4 GiB - 1."""
        name = ctypes.create_unicode_buffer(64)
        with path.open("rb") as file:
            _kernel32.GetVolumeInformationByHandleW(
                wintypes.HANDLE(msvcrt.get_osfhandle(file.fileno())),
                *(None, 0, None, None, None, name, len(name)),
            )
        return size_bytes < 1 << 32 or name.value not in ("FAT", "FAT32")

    @contextmanager
    def reached(path: Path, below: Path | None) -> Iterator[None]:
        """Refuse a folder between ``below`` and a path that is a link, before and after a touch.

        A name is no open folder here, so what is planted in the moment between is seen only then.
        """
        _refuse_links(path, below)
        yield
        _refuse_links(path, below)

    def _refuse_links(path: Path, below: Path | None) -> None:
        for folder in path.parents if below is not None else ():
            if folder == below:
                return
            if is_link(folder):
                raise NotADirectoryError(errno.ENOTDIR, "is a link", str(folder))

    def opened(path: Path, below: Path | None, how: Callable[[Path], int]) -> int:
        """A file that is opened with no link on the way to it, else closed as it is: OSError."""
        _refuse_links(path, below)
        fd = how(path)
        try:
            _refuse_links(path, below)
            if below is not None and stat_facts(fd).identity != stat_facts(path).identity:
                raise FileNotFoundError(errno.ENOENT, "became another file", str(path))
        except BaseException:
            os.close(fd)
            raise
        return fd

    def replace(source: Path, target: Path, below: Path | None = None) -> None:
        """Give ``target``'s name to ``source``, waiting out scanners for up to two seconds.

        A read-only target would refuse it, so that attribute is cleared first.
        """

        def attempt() -> None:
            try:
                os.replace(source, target)
            except PermissionError:
                if not _is_read_only_file(target):
                    raise
                os.chmod(target, stat.S_IWRITE)
                os.replace(source, target)

        with reached(source, below), reached(target, below):
            _patiently(attempt)

    def link(source: Path, target: Path, below: Path | None = None) -> None:
        """Give a file a second name."""
        with reached(target, below):
            os.link(source, target, follow_symlinks=False)

    def remove(path: Path, below: Path | None = None) -> None:
        """Remove a name; the read-only attribute, which would refuse it, is cleared first."""

        def attempt() -> None:
            with reached(path, below):
                try:
                    os.unlink(path)
                except PermissionError:
                    if not _is_read_only_file(path):
                        raise
                    os.chmod(path, stat.S_IWRITE)
                    os.unlink(path)

        _patiently(attempt)

    def _is_read_only_file(path: Path) -> bool:
        try:
            attributes = os.lstat(path).st_file_attributes
        except OSError:
            return False
        return bool(
            attributes & stat.FILE_ATTRIBUTE_READONLY
            and not attributes & stat.FILE_ATTRIBUTE_DIRECTORY
        )

    def _patiently(action: Callable[[], None]) -> None:
        pause_s = 0.01
        while True:
            try:
                return action()
            except OSError as error:
                if error.winerror not in _BUSY or pause_s > 1:
                    raise
            time.sleep(pause_s)
            pause_s *= 2

    def set_writable(path: Path, writable: bool) -> None:
        """Set or clear the read-only attribute."""
        os.chmod(path, stat.S_IWRITE | stat.S_IREAD if writable else stat.S_IREAD)

    def may_set_mode(path: Path) -> bool:
        """Say whether this user may change a file's attributes: whoever may write it may."""
        return os.access(path, os.W_OK)

    def set_executable(fd: int) -> None:
        """Nothing to do: the suffix decides what runs."""

    def sync_dir(path: Path) -> None:
        """Nothing to do: NTFS journals its names, and no folder can be flushed."""

    def clone_file(source_fd: int, target_fd: int) -> bool:
        """Block cloning of ReFS is not used yet."""
        return False

    def is_rotating(path: Path) -> bool:
        """Not asked yet: people say --sequential."""
        return False

    _position = threading.Lock()

    def write_at(fd: int, data: memoryview, offset: int) -> int:
        """Write at an offset, from any thread; the number of bytes that the system took.

        One lock for all files: a file has one position here, and what is written goes to memory.
        """
        with _position:
            os.lseek(fd, offset, os.SEEK_SET)
            return os.write(fd, data)

    def preallocate(fd: int, size_bytes: int) -> None:
        """Reserve space, so that a full disk shows before the bytes are fetched."""
        os.ftruncate(fd, size_bytes)

    def start_writeback(fd: int, offset: int, length: int) -> None:
        """No such call here."""

    def drop_written(fd: int, offset: int, length: int) -> None:
        """No such call here."""

    def tune_memory() -> None:
        """Nothing to do: large pieces of memory go back when they are freed."""
