"""The drawing, by an XML parser, and the seconds, by hand."""

import unittest
from xml.etree import ElementTree

from tests.chaos.timeline import COLOURS, Timeline

SVG = '{http://www.w3.org/2000/svg}'


class TimelineTest(unittest.TestCase):
    def setUp(self):
        self.timeline = Timeline(gateway=None, admin_headers={})
        self.timeline.looks = [
            (0.0, {'m<1>': ('serving', 2, 'v-1')}),
            (1.0, {'m<1>': ('serving', 2, 'v-1'), 'm-2': ('booting', 0, 'v-2')}),
            (2.0, {'m<1>': ('lost', 0, 'v-1'), 'm-2': ('serving', 2, 'v-2')}),
            (4.0, {'m-2': ('serving', 2, 'v-2')}),
        ]

    def test_lanes_streams_marks(self):
        self.timeline.marks = [(1.5, 'm<1>', 'kill -9'), (1.7, 'm-3', 'hang')]
        root = ElementTree.fromstring(self.timeline.svg())
        texts = {text.text: text for text in root.iter(f'{SVG}text')}
        self.assertLessEqual({'m<1>', 'm-2', 'm-3', 'kill -9', 'hang', '0 s', '4 s'} | set(COLOURS), set(texts))
        titles = [title.text for title in root.iter(f'{SVG}title')]
        self.assertEqual(titles, ['m<1> serving, 2 answers', 'm<1> lost, 0 answers', 'm-2 booting, 0 answers',
                                  'm-2 serving, 2 answers'])
        # What was done lies on the lane of the machine it was done to.
        (mark, _) = root.iter(f'{SVG}line')
        lane = float(texts['m<1>'].get('y'))
        self.assertTrue(float(mark.get('y1')) < lane < float(mark.get('y2')))
        streams = [rect for rect in root.iter(f'{SVG}rect') if rect.get('fill') == '#1d3557']
        self.assertEqual([float(rect.get('height')) for rect in streams], [1, 1])

    def test_seconds_of_processes(self):
        self.timeline.processes = [(0.0, {7}), (1.0, {7, 8}), (2.0, {8}), (4.0, set())]
        # 7 ended between 1 and 2, 8 began between 0 and 1 and ended between 2 and 4.
        self.assertEqual(self.timeline.process_seconds(), (1 + 2 + 2, 1 + 1 + 2, 2))


if __name__ == '__main__':
    unittest.main()
