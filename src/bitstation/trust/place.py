"""A folder of signed metadata with the online key beside: what an HQ or a mirror shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from tuf.api.metadata import Root

from bitstation.codec.zstd import compress
from bitstation.core.mirror import PACKED_SUFFIX, is_metadata_name
from bitstation.core.wire import Requirement
from bitstation.errors import KeyRefused, NotSigned, SignatureRefused, StoreLocked
from bitstation.storage.durable import Disk
from bitstation.storage.faults import disk_errors
from bitstation.storage.locks import held_lock
from bitstation.trust.ceremony import HQ_ROSTER, Roster, first_files, make_keys
from bitstation.trust.chain import Chain, check_root, signed_time, utc_now
from bitstation.trust.draft import NAME as DRAFT_NAME
from bitstation.trust.draft import Draft
from bitstation.trust.files import read_file
from bitstation.trust.keyring import Keyring
from bitstation.trust.roles import (
    MAX_TARGETS_BYTES,
    RENEWED_AFTER,
    ROOT,
    TARGETS,
    TIMESTAMP,
    file_name,
    is_packed,
    max_bytes,
    release_path,
    requirement_path,
)
from bitstation.trust.signing import (
    File,
    ReleaseName,
    check_first,
    check_next,
    check_versions,
    is_signed,
    may_require,
    open_chain,
    publisher_for,
    seal,
    sign_release,
    sign_requirement,
)
from bitstation.trust.walk import newest_root

_PACKING_LEVEL = 19
_LOCK_WAIT_S = 10.0

Clock = Callable[[], datetime]


class Place:
    """Signed metadata below ``folder``; callable from several threads and processes.

    Crash: files that nothing names may be left; the timestamp, written last, is the earlier or
    the new one. Raises StoreLocked where another process signs for long, StoreError, and what
    ``Chain`` and ``Keyring`` raise.
    """

    def __init__(
        self,
        folder: Path,
        keyring: Keyring,
        life: timedelta,
        *,
        clock: Clock = utc_now,
        disk: Disk | None = None,
    ) -> None:
        self.folder = folder
        self.keyring = keyring
        self._life = life
        self._clock = clock
        self._disk = disk or Disk()
        self._lock = Lock()
        self._signed_at: datetime | None = None

    @property
    def exists(self) -> bool:
        """Say whether anything was ever signed here."""
        return (self.folder / file_name(TIMESTAMP)).is_file()

    def found(self, roster: Roster = HQ_ROSTER) -> Draft | None:
        """Make the keys that are lacking, and sign the first metadata.

        Where others have to sign them, too, nothing is written here and the answer is the draft.
        """
        make_keys(self.keyring, roster)
        files = first_files(self.keyring, roster, self._clock(), self._life)
        if (draft := Draft(tuple(files))).waits():
            return draft
        self._begin(files)
        return None

    def begin_as(self, other: Place) -> None:
        """Show what another place shows, unless there is something. Crash: the timestamp is last.

        Raises SignatureRefused where somebody signs there at this moment.
        """
        names = sorted(path.name for path in other.folder.glob("*.json"))
        read = [(name, other.read(name, MAX_TARGETS_BYTES)) for name in names]
        # "timestamp" sorts after all numbers.
        files = [File(name, data) for name, data in read if data is not None]
        check_first(files)
        self._begin(files)

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """A file as workers get it; None where there is none. Raises SignatureRefused."""
        if not is_metadata_name(name):
            return None
        return read_file(self.folder / name, most_bytes)

    def first_root(self) -> bytes:
        """What workers pin who join now: the newest root, which needs no earlier one."""
        data = newest_root(self.read)
        if data is None:
            raise NotSigned(source=str(self.folder))
        return data

    def chain(self) -> Chain:
        """What is signed here now."""
        return open_chain(self.first_root(), self.read, str(self.folder))

    def check(self, release: ReleaseName) -> None:
        """Raise what ``sign`` would: ReleaseConflict, NotSigned, KeyRefused for a key in it."""
        chain = self.chain()
        if not is_signed(chain, release):
            _publisher, key = publisher_for(chain, self.keyring, release)
            for name in (key, self._online(chain.root)):
                self.keyring.signer(name)

    def sign(self, release: ReleaseName) -> None:
        """Sign a release with a publisher's key that lies here. Raises NotSigned without one."""
        with self._alone():
            chain = self.chain()
            if is_signed(chain, release):
                return
            publisher, key = publisher_for(chain, self.keyring, release)
            signers = [self.keyring.signer(key)]
            file = sign_release(chain, publisher, signers, release, self._clock())
            self._seal(chain, [file], [release_path(release.tool_id, release.version)])

    def require(self, required: Requirement) -> None:
        """Sign what HQ requires of a tool."""
        with self._alone():
            chain = self.chain()
            signer = self.keyring.signer(self._online(chain.root))
            file = sign_requirement(chain, signer, required, self._clock())
            self._seal(chain, [file], [requirement_path(required.tool_id)])

    def accept(self, files: Sequence[File], paths: Sequence[str] = ()) -> None:
        """Take in what others signed, when every worker would; ``paths`` must be found then.

        Raises SignatureRefused, NotSigned, ReleaseConflict where it says something else of a
        release that is signed here; then nothing is changed.
        """
        with self._alone():
            self._accept(files, paths)

    def change(self, make: Callable[[Chain, Keyring, datetime], list[File]]) -> Draft | None:
        """Sign what ``make`` makes of what is here: other keys, other publishers.

        Where others have to sign it, too, nothing is changed here and the answer is the draft.
        """
        with self._alone():
            chain = self.chain()
            files = make(chain, self.keyring, self._clock())
            draft = Draft(tuple(files), self._before(chain))
            if draft.waits():
                return draft
            check_versions(chain, files)
            self._seal(chain, files, [])
            return None

    def check_draft(self, draft: Draft) -> None:
        """Refuse a draft that no owner should sign, or that replaces other than is here."""
        draft.check(self._clock())
        # Where there are metadata, what is not among them is not what they are replaced by.
        for file in draft.before if self.exists else ():
            if self.read(file.name, max_bytes(file.role)) != file.data:
                detail = f"what it replaces is not the {file.name} of {self.folder}"
                raise SignatureRefused(source=DRAFT_NAME, what=file.role, detail=detail)

    def is_of(self, draft: Draft) -> bool:
        """Say whether a draft is to be taken in here: by the place itself, and its online key."""
        root, _targets = draft.then()
        is_online = bool(self.keyring.find(root.roles[TIMESTAMP].keyids))
        return is_online and self.exists == bool(draft.before)

    def take_in(self, draft: Draft) -> None:
        """Take in a draft that all have signed who must, when every worker would.

        Raises what ``accept`` raises.
        """
        if draft.before:
            with self._alone():
                self.check_draft(draft)
                self._accept(draft.files, [])
            return
        self.check_draft(draft)
        check_first(draft.files)
        self._begin(draft.files)
        # Others took their time to sign.
        self.renew()

    def renew(self) -> bool:
        """Sign snapshot and timestamp anew, once they are a day old; says whether it did."""
        # Whoever asks for the timestamp comes here: its chain is not read each time.
        if self._is_young():
            return False
        try:
            with self._alone(is_patient=False):
                return self._renew()
        except StoreLocked:
            # Whoever signs here at the moment makes them young, too.
            return False

    def _begin(self, files: Sequence[File]) -> None:
        with disk_errors(self.folder):
            self._disk.make_dir(self.folder)
        with self._alone():
            if not self.exists:
                self._write(files)

    def _renew(self) -> bool:
        chain = self.chain()
        self._signed_at = signed_time(chain.timestamp)
        if self._is_young():
            return False
        self._seal(chain, [], [])
        return True

    def _is_young(self) -> bool:
        signed_at, now = self._signed_at, self._clock()
        return signed_at is not None and signed_at <= now < signed_at + RENEWED_AFTER

    def _accept(self, files: Sequence[File], paths: Sequence[str]) -> None:
        chain = self.chain()
        check_versions(chain, files)
        self._seal(chain, files, paths)

    @contextmanager
    def _alone(self, *, is_patient: bool = True) -> Iterator[None]:
        """Be the only one who signs here, with the keys that there are by now."""
        if not self.folder.is_dir():
            raise NotSigned(source=str(self.folder))
        wait_s = _LOCK_WAIT_S if is_patient else 0
        with self._lock, held_lock(self.folder / "lock", wait_s):
            self.keyring.refresh()
            yield

    def _seal(self, chain: Chain, files: Sequence[File], paths: Sequence[str]) -> None:
        # A root that is new here says who signs from now on.
        coming = [check_root(file.data, name=file.name) for file in files if file.role == ROOT]
        root, now = [chain.root, *coming][-1], self._clock()
        signer = self.keyring.signer(self._online(root))
        if any(file.role == TARGETS for file in files) and not may_require(chain.targets, root):
            files = [*files, sign_requirement(chain, signer, None, now)]
        sealed = seal(chain, files, signer, self._life, now)
        check_next(chain, self.first_root(), self.read, sealed, paths)
        self._write(sealed)

    def _before(self, chain: Chain) -> tuple[File, ...]:
        versions = {ROOT: chain.root.version, TARGETS: chain.targets.version}
        names = [(role, file_name(role, version)) for role, version in versions.items()]
        found = [(name, self.read(name, max_bytes(role))) for role, name in names]
        return tuple(File(name, data) for name, data in found if data is not None)

    def _online(self, root: Root) -> str:
        found = self.keyring.find(root.roles[TIMESTAMP].keyids)
        if not found:
            detail = f"the key that signs timestamps is not in {self.keyring.folder}"
            raise KeyRefused(name=TIMESTAMP, detail=detail)
        return found[0]

    def _write(self, files: Sequence[File]) -> None:
        with disk_errors(self.folder):
            for file in files:
                if is_packed(file.name):
                    packed = compress(file.data, _PACKING_LEVEL)
                    self._disk.write_file(self.folder / (file.name + PACKED_SUFFIX), packed)
                self._disk.write_file(self.folder / file.name, file.data)
