"""Linux and macOS."""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import ctypes
    import errno
    import fcntl
    import os
    import re
    import stat
    from collections.abc import Iterator
    from contextlib import contextmanager, suppress
    from functools import cache, lru_cache
    from pathlib import Path

    from bitstation.host.facts import StatFacts

    _OCTAL = re.compile(rb"\\([0-7]{3})")
    _FICLONE = 0x40049409
    _SYNC_FILE_RANGE_WRITE = 2
    # What is under way is waited for, the rest begun, and that waited for, too.
    _SYNC_FILE_RANGE_ALL = 7
    _M_TRIM_THRESHOLD = -1
    _M_MMAP_THRESHOLD = -3
    _LARGE_BYTES = 4 << 20
    _KEPT_BYTES = 32 << 20

    _NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)

    FLUSH_FLAGS = os.O_RDONLY
    """How a file must be opened to be made durable."""
    HAS_MODES = True
    """Whether a file says that it may be executed."""

    class FileLock:
        """Advisory lock that the system drops when its holder ends, however it ends."""

        def __init__(self, path: Path) -> None:
            self._path = path
            self._fd = -1

        def acquire(self) -> bool:
            """Take the lock; False when another holds it."""
            while True:
                fd = os.open(
                    self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
                )
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    os.close(fd)
                    if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                        return False
                    raise
                if self._still_names(fd):
                    self._fd = fd
                    return True
                # The last holder removed the file between our open and our lock.
                os.close(fd)

        def _still_names(self, fd: int) -> bool:
            try:
                return os.path.samestat(os.fstat(fd), os.stat(self._path))
            except FileNotFoundError:
                return False

        def write_holder(self, text: str) -> None:
            """Leave a note for whoever finds the lock taken, in a file that is nobody else's."""
            if os.fstat(self._fd).st_nlink > 1:
                return
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, text.encode("utf-8"), 0)

        def read_holder(self) -> str:
            """Note of the holder; empty when there is none."""
            try:
                return self._path.read_bytes()[:500].decode("utf-8", "replace")
            except OSError:
                return ""

        def release(self) -> None:
            """Give the lock back."""
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

        def discard(self) -> None:
            """Give the lock back and remove its file; whoever waits for it makes a new one."""
            with suppress(OSError):
                os.unlink(self._path)
            self.release()

    def stat_facts(path: Path | int) -> StatFacts:
        """Facts of a path (a link is not followed) or of an open file."""
        found = os.fstat(path) if isinstance(path, int) else os.lstat(path)
        return StatFacts(
            _volume_id(found.st_dev, path),
            found.st_ino,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
            found.st_nlink,
            stat.S_ISREG(found.st_mode),
            bool(found.st_mode & 0o200),
            bool(found.st_mode & 0o100),
        )

    _volumes: dict[int, int] = {}

    def _volume_id(device: int, path: Path | int) -> int:
        # Device numbers may be dealt anew at each boot; the file system's own id is not.
        if device not in _volumes:
            where = path if isinstance(path, int) else Path(path).parent
            _volumes[device] = os.statvfs(where).f_fsid or device
        return _volumes[device]

    def is_link(path: Path) -> bool:
        """Say whether the name itself is a link, so that what is below it lies elsewhere."""
        return path.is_symlink()

    def mount_points() -> list[Path]:
        """Folders at which other volumes, or other places of the same one, are mounted.

        Only Linux is asked: a bind mount there is told by no look at the folder itself.
        """
        if sys.platform != "linux":
            return []
        try:
            rows = Path("/proc/self/mountinfo").read_bytes().splitlines()
        except OSError:
            return []
        places = [row.split(b" ")[4] for row in rows]
        return [Path(os.fsdecode(_OCTAL.sub(_unescaped, place))) for place in places]

    def _unescaped(match: re.Match[bytes]) -> bytes:
        return bytes([int(match[1], 8)])

    def native_path(path: Path) -> Path:
        """Form of an absolute path that the system takes at any length it supports."""
        return path

    @lru_cache(maxsize=64)
    def path_limit(folder: Path) -> tuple[int, int]:
        """Longest path and longest name that the volume takes, in bytes of UTF-8."""
        return os.pathconf(folder, "PC_PATH_MAX") - 1, os.pathconf(folder, "PC_NAME_MAX")

    def takes_length(path: Path, size_bytes: int) -> bool:
        """Say whether the volume of a file takes files so long: FAT32 ends at 4 GiB - 1."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if sys.platform != "linux":
                return size_bytes < 1 << (os.fpathconf(fd, "PC_FILESIZEBITS") - 1)
            # Writes nothing, and is refused where no file can be so long.
            os.lseek(fd, size_bytes, os.SEEK_SET)
        except OSError as error:
            return error.errno != errno.EINVAL
        finally:
            os.close(fd)
        return True

    @contextmanager
    def reached(path: Path, below: Path | None) -> Iterator[tuple[str | Path, int | None]]:
        """The name to touch a path by, and the open folder that it stands in, as ``dir_fd``.

        No folder between ``below`` and it is followed that is a link, or becomes one meanwhile:
        OSError. Without ``below`` links are followed.
        """
        if below is None:
            yield path, None
            return
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            folder = os.open(below, flags)
            try:
                for name in path.relative_to(below).parts[:-1]:
                    inner = os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
                    os.close(folder)
                    folder = inner
                yield path.name, folder
            finally:
                os.close(folder)
        except OSError as error:
            # The system knows the last name alone.
            error.filename = str(path)
            raise

    def replace(source: Path, target: Path, below: Path | None = None) -> None:
        """Give ``target``'s name to ``source``; whoever looks sees the one or the other."""
        with reached(source, below) as (name, folder), reached(target, below) as (to, to_folder):
            os.replace(name, to, src_dir_fd=folder, dst_dir_fd=to_folder)

    def link(source: Path, target: Path, below: Path | None = None) -> None:
        """Give a file a second name."""
        with reached(target, below) as (name, folder):
            os.link(source, name, dst_dir_fd=folder, follow_symlinks=False)

    def remove(path: Path, below: Path | None = None) -> None:
        """Remove a name; writable or not, the folder's permission decides."""
        with reached(path, below) as (name, folder):
            os.unlink(name, dir_fd=folder)

    def set_writable(path: Path, writable: bool) -> None:
        """Set or clear the write permission of a file."""
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        os.chmod(path, mode | 0o200 if writable else mode & ~0o222)

    def may_set_mode(path: Path) -> bool:
        """Say whether this user may change a file's permissions: its owner and root may."""
        return os.geteuid() in (0, os.lstat(path).st_uid)

    def set_executable(fd: int) -> None:
        """Let everyone who may read an open file execute it."""
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        os.fchmod(fd, mode | ((mode & 0o444) >> 2))

    def sync_dir(path: Path) -> None:
        """Make the names in a folder durable, where the volume can: some network volumes cannot."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(fd)

    def clone_file(source_fd: int, target_fd: int) -> bool:
        """Share all blocks of one file with another (copy on write); False where it cannot."""
        if sys.platform != "linux":
            return False
        try:
            fcntl.ioctl(target_fd, _FICLONE, source_fd)
        except OSError:
            return False
        return True

    def is_rotating(path: Path) -> bool:
        """Say whether a file lies on a disk that turns: jumping about costs it dearly."""
        if sys.platform != "linux":
            return False
        device = os.stat(path).st_dev
        return _turns(Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))

    def _turns(device: Path) -> bool:
        try:
            place = device.resolve(strict=True)
            # A partition's queue is that of its disk.
            folder = place if (place / "queue").is_dir() else place.parent
            said = (folder / "queue/rotational").read_text("ascii").strip()
        except (OSError, ValueError):
            return False
        # Virtual disks say that they turn, whatever is below them.
        return said == "1" and not {"virtual", "virtio", "xen"} & set(
            part.rstrip("0123456789-") for part in place.parts
        )

    def write_at(fd: int, data: memoryview, offset: int) -> int:
        """Write at an offset, from any thread; the number of bytes that the system took."""
        return os.pwrite(fd, data, offset)

    def preallocate(fd: int, size_bytes: int) -> None:
        """Reserve space, so that a full disk shows before the bytes are fetched.

        Where the system cannot, the file is at least as long: so a begun one is known again.
        """
        if size_bytes and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(fd, 0, size_bytes)
                return
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                    raise
        os.ftruncate(fd, size_bytes)

    @cache
    def _sync_file_range() -> object:
        return getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)

    def _write_back(fd: int, offset: int, length: int, flags: int) -> None:
        # A length of 0 would mean: to the end of the file. What fails here, the later sync tells.
        call = _sync_file_range() if sys.platform == "linux" and length else None
        if call is not None:
            call(fd, ctypes.c_int64(offset), ctypes.c_int64(length), flags)  # type: ignore[operator]

    def start_writeback(fd: int, offset: int, length: int) -> None:
        """Begin writing a span to the disk, so that the later sync finds little left to do."""
        _write_back(fd, offset, length, _SYNC_FILE_RANGE_WRITE)

    def drop_written(fd: int, offset: int, length: int) -> None:
        """Wait until a span is written, and give its memory back for what is written next.

        Memory that is new to a virtual machine costs more than the copying: a GB took 2.6 s, and
        0.8 s within 64 MB. Other programs' files stay in memory, too.
        """
        _write_back(fd, offset, length, _SYNC_FILE_RANGE_ALL)
        if sys.platform == "linux" and length:
            os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)

    @cache
    def tune_memory() -> None:
        """Keep freed memory of small pieces for the next ones, and give large ones back at once.

        glibc gives the ends of its heaps back at every turn: an install of 1 GB of packed blocks
        took 1.1 million page faults and 2.9 s of the kernel's time, and then 12,000 and 0.9 s. And
        it learns to keep pieces of up to 32 MiB, in each thread apart: 100 MB of 7 in use after
        the patches of three wheels. Other systems' libraries do neither.
        """
        call = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
        if call is not None:
            call(_M_TRIM_THRESHOLD, _KEPT_BYTES)
            call(_M_MMAP_THRESHOLD, _LARGE_BYTES)
