"""A disk that is full, a real one: engines serve without keeping anything; the gateway starts nothing that it could not
write down, says so, and goes on once there is room."""

import ctypes
import os
import shutil
import tempfile
import unittest

from tests.e2e.harness import Gateway, chat, wait_for

MIB = 1 << 20
DISK_MIB = 512  # the bundled model's packed weights fit into the half of it that a volume may have
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000


def own_mounts():
    """For this process and its children; what they mount is gone with them."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), 'no user namespace is to be had')
    for path, words in ('setgroups', 'deny'), ('uid_map', f'{user} {user} 1'), ('gid_map', f'{group} {group} 1'):
        with open(f'/proc/self/{path}', 'w', encoding='ascii') as file:
            file.write(words)
    return libc


class FullDiskTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            cls.libc = own_mounts()
        except OSError as error:
            raise unittest.SkipTest(f'SKIPPED: a disk of its own takes a user namespace: {error}') from error

    def setUp(self):
        self.disk = tempfile.mkdtemp(prefix='disk.', dir=os.environ['TEST_TMPDIR'])
        options = f'size={DISK_MIB}m'.encode()
        if self.libc.mount(b'disk', self.disk.encode(), b'tmpfs', 0, options) != 0:
            self.skipTest(f'SKIPPED: no disk of its own may be mounted: {os.strerror(ctypes.get_errno())}')
        self.addCleanup(self.libc.umount2, self.disk.encode(), 2)
        self.gateway = Gateway(data_dir=os.path.join(self.disk, 'data'))
        os.mkdir(self.gateway.data_dir)
        self.gateway.log_path = os.path.join(os.environ['TEST_TMPDIR'], f'{self._testMethodName}.log')
        self.addCleanup(self.gateway.close)
        self.other = os.path.join(self.disk, 'of somebody else')

    def fill(self, leave_mib):
        with open(self.other, 'wb') as file:
            space = os.statvfs(self.disk)
            room = space.f_bavail * space.f_frsize - leave_mib * MIB
            try:
                while room > 0:
                    room -= file.write(bytes(min(room, MIB)))
                file.flush()
            except OSError:
                pass

    def test_an_engine_without_room_serves(self):
        self.gateway.start()
        answer = self.gateway.ask()
        self.gateway.terminate()
        shutil.rmtree(self.gateway.data_dir)
        os.mkdir(self.gateway.data_dir)
        self.fill(leave_mib=16)
        self.gateway.start()
        self.assertEqual(self.gateway.ask(), answer)
        self.gateway.wait_for_metric('volumes_full', 1)
        self.assertIn('is full, nothing more is cached: cannot write', ''.join(self.gateway.logs().values()))

    def test_a_gateway_without_room_says_so_and_goes_on_with_room(self):
        self.gateway.start()
        self.fill(leave_mib=0)
        status, headers, body = self.gateway.post('/v1/chat/completions', chat(max_tokens=4))
        self.assertEqual((status, body['error']['code']), (503, 'model_unavailable'))
        self.assertIn('cannot write down its start: no space left', body['error']['message'])
        self.assertGreater(int(headers['retry-after']), 0)
        self.assertEqual(self.gateway.engine_pids(), [])
        os.remove(self.other)
        wait_for(lambda: self.gateway.post('/v1/chat/completions', chat(max_tokens=4))[0] == 200, 'it is served')
        self.assertEqual(self.gateway.terminate(), 0)


if __name__ == '__main__':
    unittest.main()
