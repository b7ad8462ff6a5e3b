"""Who may read and write what we make: Windows.

Asked of the system itself: a program such as icacls would be looked for in the current folder
before its own, and %USERNAME% is what somebody wrote into the environment.
"""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes
    import msvcrt
    import os
    from collections.abc import Iterator
    from contextlib import contextmanager
    from ctypes import wintypes
    from functools import cache
    from pathlib import Path

    from bitstation.host.windows import opened

    _advapi32 = ctypes.WinDLL("advapi32", use_last_error=True)
    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)

    _TOKEN_QUERY = 8
    _TOKEN_USER = 1
    _SDDL_REVISION = 1
    _DACL = 0x4
    _PROTECTED_DACL = 0x80000000
    _GENERIC_READ_WRITE = 0xC0000000
    _SHARE_ALL = 7
    _CREATE_NEW, _OPEN_ALWAYS, _CREATE_ALWAYS = 1, 4, 2
    _OPEN_REPARSE_POINT = 0x00200000
    _NORMAL = 0x80
    _INVALID = ctypes.c_void_p(-1).value
    _ALLOWED = 0
    # Write data, append, delete children, delete, change the list or the owner; generic all, write.
    _WRITES = 0x2 | 0x4 | 0x40 | 0x10000 | 0x40000 | 0x80000 | 0x10000000 | 0x40000000
    _READS = 0x1 | 0x10000000 | 0x80000000
    # Everyone, anonymous, whoever signed in here, any user, guests.
    _ANYBODY = ("S-1-1-0", "S-1-5-7", "S-1-5-4", "S-1-5-11", "S-1-5-32-545", "S-1-5-32-546")

    class _Attributes(ctypes.Structure):
        _fields_ = (
            ("length", wintypes.DWORD),
            ("descriptor", ctypes.c_void_p),
            ("inherit", wintypes.BOOL),
        )

    class _AceHead(ctypes.Structure):
        _fields_ = (
            ("kind", ctypes.c_ubyte),
            ("flags", ctypes.c_ubyte),
            ("size", ctypes.c_ushort),
            ("mask", wintypes.DWORD),
        )

    _kernel32.CreateFileW.restype = wintypes.HANDLE
    _kernel32.CreateFileW.argtypes = [
        *(wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, ctypes.c_void_p),
        *(wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE),
    ]
    _kernel32.CreateDirectoryW.argtypes = [wintypes.LPCWSTR, ctypes.c_void_p]
    _kernel32.GetCurrentProcess.restype = wintypes.HANDLE
    _kernel32.CloseHandle.argtypes = [wintypes.HANDLE]
    _kernel32.LocalFree.argtypes = [ctypes.c_void_p]
    _advapi32.OpenProcessToken.argtypes = [wintypes.HANDLE, wintypes.DWORD, ctypes.c_void_p]
    _advapi32.GetTokenInformation.argtypes = [
        *(wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p)
    ]
    _advapi32.ConvertSidToStringSidW.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    _advapi32.ConvertStringSecurityDescriptorToSecurityDescriptorW.argtypes = [
        *(wintypes.LPCWSTR, wintypes.DWORD, ctypes.c_void_p, ctypes.c_void_p)
    ]
    _advapi32.SetFileSecurityW.argtypes = [wintypes.LPCWSTR, wintypes.DWORD, ctypes.c_void_p]
    _advapi32.GetFileSecurityW.argtypes = [
        *(wintypes.LPCWSTR, wintypes.DWORD, ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p)
    ]
    _advapi32.GetSecurityDescriptorDacl.argtypes = [ctypes.c_void_p] * 4
    _advapi32.GetAce.argtypes = [ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p]

    def create_file(
        path: Path, flags: int, *, private: bool = False, below: Path | None = None
    ) -> int:
        """Open a file of ours for writing, created if need be.

        Only its owner may read one that is ``private``, from the first moment on.
        """
        if private:
            return opened(path, below, lambda name: _create_private(name, flags))
        flags |= os.O_CREAT | os.O_BINARY | os.O_NOINHERIT
        return opened(path, below, lambda name: os.open(name, flags))

    def open_file(path: Path, below: Path | None = None) -> int:
        """Open a file that exists to read and write it."""
        flags = os.O_RDWR | os.O_BINARY | os.O_NOINHERIT
        return opened(path, below, lambda name: os.open(name, flags))

    def _create_private(path: Path, flags: int) -> int:
        how = _CREATE_NEW if flags & os.O_EXCL else _OPEN_ALWAYS
        how = _CREATE_ALWAYS if flags & os.O_TRUNC else how
        with _only_for_us() as attributes:
            handle = _kernel32.CreateFileW(
                *(str(path), _GENERIC_READ_WRITE, _SHARE_ALL, ctypes.byref(attributes)),
                *(how, _NORMAL | _OPEN_REPARSE_POINT, None),
            )
        if handle is None or handle == _INVALID:
            raise _failure(path)
        return msvcrt.open_osfhandle(handle, os.O_RDWR | os.O_BINARY | os.O_NOINHERIT)

    def make_dir(path: Path, *, private: bool = False) -> None:
        """Create a folder and the parents it lacks; an existing one stays as it is."""
        if not private:
            path.mkdir(parents=True, exist_ok=True)
        elif not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            with _only_for_us() as attributes:
                made = _kernel32.CreateDirectoryW(str(path), ctypes.byref(attributes))
                fault = None if made else _failure(path)
            if fault and not path.is_dir():
                raise fault

    def make_private(path: Path) -> None:
        """Let only the owner and the system read or write."""
        _set_access(path, _private())

    def shut_out(path: Path) -> None:
        """Take the right to write in a folder from everyone but its owner and administrators.

        What is made on a drive's top may be changed by all who sign in here, unless somebody says
        otherwise.
        """
        if others_may_write(path):
            _set_access(path, _private() + "(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)")

    def others_may_read(path: Path) -> bool:
        """Say whether any user of this machine may read a file."""
        return bool(_granted_to_anybody(path) & _READS)

    def others_may_write(path: Path) -> bool:
        """Say whether any user of this machine may write here, or in what will be made here."""
        return bool(_granted_to_anybody(path) & _WRITES)

    def _granted_to_anybody(path: Path) -> int:
        """Rights that an access list gives to groups to which any user belongs. Raises OSError."""
        needed = wintypes.DWORD()
        _advapi32.GetFileSecurityW(str(path), _DACL, None, 0, ctypes.byref(needed))
        found = ctypes.create_string_buffer(needed.value)
        if not needed.value or not _advapi32.GetFileSecurityW(
            str(path), _DACL, found, needed, ctypes.byref(needed)
        ):
            raise _failure(path)
        present, given, entries = wintypes.BOOL(), wintypes.BOOL(), ctypes.c_void_p()
        if not _advapi32.GetSecurityDescriptorDacl(
            found, ctypes.byref(present), ctypes.byref(entries), ctypes.byref(given)
        ):
            raise _failure(path)
        if not present or not entries:
            return _WRITES | _READS  # no list: everything is allowed
        return _union(entries)

    def _union(entries: ctypes.c_void_p) -> int:
        rights, index, entry = 0, 0, ctypes.c_void_p()
        while _advapi32.GetAce(entries, index, ctypes.byref(entry)):
            head = ctypes.cast(entry, ctypes.POINTER(_AceHead)).contents
            who = (entry.value or 0) + ctypes.sizeof(_AceHead)
            if head.kind == _ALLOWED and _sid_text(ctypes.c_void_p(who)) in _ANYBODY:
                rights |= head.mask
            index += 1
        return rights

    def _set_access(path: Path, entries: str) -> None:
        with _descriptor(entries) as descriptor:
            if not _advapi32.SetFileSecurityW(str(path), _DACL | _PROTECTED_DACL, descriptor):
                raise _failure(path)

    @contextmanager
    def _only_for_us() -> Iterator[_Attributes]:
        with _descriptor(_private()) as descriptor:
            yield _Attributes(ctypes.sizeof(_Attributes), descriptor, False)

    @contextmanager
    def _descriptor(entries: str) -> Iterator[ctypes.c_void_p]:
        """An access list that takes nothing over from the folder above."""
        made = ctypes.c_void_p()
        if not _advapi32.ConvertStringSecurityDescriptorToSecurityDescriptorW(
            f"D:P{entries}", _SDDL_REVISION, ctypes.byref(made), None
        ):
            raise _failure(None)
        try:
            yield made
        finally:
            _kernel32.LocalFree(made)

    @cache
    def _private() -> str:
        """Entries that give everything to this user and the system."""
        return f"(A;OICI;FA;;;{_own_sid()})(A;OICI;FA;;;SY)"

    def _own_sid() -> str:
        """Who runs this process, as its token says."""
        token = wintypes.HANDLE()
        process = _kernel32.GetCurrentProcess()
        if not _advapi32.OpenProcessToken(process, _TOKEN_QUERY, ctypes.byref(token)):
            raise _failure(None)
        try:
            facts, needed = ctypes.create_string_buffer(256), wintypes.DWORD()
            if not _advapi32.GetTokenInformation(
                token, _TOKEN_USER, facts, ctypes.sizeof(facts), ctypes.byref(needed)
            ):
                raise _failure(None)
            # Its first field points to the identifier, behind it in the same buffer.
            return _sid_text(ctypes.c_void_p.from_buffer(facts))
        finally:
            _kernel32.CloseHandle(token)

    def _sid_text(sid: ctypes.c_void_p) -> str:
        text = wintypes.LPWSTR()
        if not _advapi32.ConvertSidToStringSidW(sid, ctypes.byref(text)):
            raise _failure(None)
        try:
            return text.value or ""
        finally:
            _kernel32.LocalFree(ctypes.cast(text, ctypes.c_void_p))

    def _failure(path: Path | None) -> OSError:
        code = ctypes.get_last_error()
        return OSError(None, ctypes.FormatError(code), path and str(path), code)
