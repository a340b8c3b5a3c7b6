"""What azure_misfits finds in answers that Azure would not give."""

import copy
import unittest

import azure.mgmt.compute.models
import azure.mgmt.network.models

from fleet.providers.conformance.published import azure_misfits

DISK = {
    'id': '/subscriptions/s', 'location': 'eastus', 'zones': ['1'], 'tags': {'key': 'value'},
    'sku': {'name': 'Premium_LRS'},
    'properties': {'creationData': {'createOption': 'Empty'}, 'diskSizeGB': 10, 'burstingEnabled': True,
                   'completionPercent': 100, 'diskState': 'Unattached', 'shareInfo': [{'vmUri': '/subscriptions/s'}],
                   'timeCreated': '2026-11-29T11:30:55.2010000+00:00'}}


class AzureMisfitsTest(unittest.TestCase):
    def misfits(self, path, value):
        """Of DISK with another value at a path."""
        disk = copy.deepcopy(DISK)
        *folders, name = path.split('.')
        within = disk
        for folder in folders:
            within = within[folder]
        within[name] = value
        return list(azure_misfits(azure.mgmt.compute.models.Disk(disk)))

    def test_what_fits(self):
        self.assertEqual(list(azure_misfits(azure.mgmt.compute.models.Disk(DISK))), [])
        for path, value in (('sku.name', 'premium_lrs'), ('properties.completionPercent', 99.5),
                            ('properties.timeCreated', '2026-11-29T11:30:55Z'), ('zones', []), ('tags', {})):
            self.assertEqual(self.misfits(path, value), [], path)

    def test_types(self):
        for path, value, kind in (
                ('location', 1, 'str'), ('location', None, 'str'), ('properties.diskSizeGB', '10', 'int'),
                ('properties.diskSizeGB', 10.0, 'int'), ('properties.diskSizeGB', True, 'int'),
                ('properties.completionPercent', '100', 'float'), ('properties.burstingEnabled', 'true', 'bool'),
                ('properties.burstingEnabled', 1, 'bool'), ('zones', '1', 'list'), ('tags', ['value'], 'dict'),
                ('properties', [], 'DiskProperties'), ('properties.creationData', 'Empty', 'CreationData'),
                ('properties.timeCreated', 'yesterday', 'time'), ('properties.timeCreated', 1, 'datetime')):
            self.assertEqual(self.misfits(path, value), [f'$.{path}: {value!r} is no {kind}'])
        self.assertEqual(self.misfits('zones', ['1', 2]), ['$.zones[1]: 2 is no str'])
        self.assertEqual(self.misfits('tags', {'key': 1}), ['$.tags.key: 1 is no str'])
        self.assertEqual(self.misfits('properties.shareInfo', [{'vmUri': 1}]),
                         ['$.properties.shareInfo[0].vmUri: 1 is no str'])

    def test_enumerations(self):
        self.assertEqual(self.misfits('properties.diskState', 'Lost'),
                         ["$.properties.diskState: 'Lost' is none of DiskState"])
        self.assertEqual(self.misfits('properties.diskState', 1), ['$.properties.diskState: 1 is none of DiskState'])
        self.assertEqual(self.misfits('sku.name', 'SSD'), ["$.sku.name: 'SSD' is none of DiskStorageAccountTypes"])
        for size, found in (('Standard_NC4as_T4_v3', []), (4, ['$.vmSize: 4 is none of VirtualMachineSizeTypes'])):
            profile = azure.mgmt.compute.models.HardwareProfile({'vmSize': size})
            self.assertEqual(list(azure_misfits(profile)), found)

    def test_fields(self):
        self.assertEqual(self.misfits('size', 1), ['$.size: Disk has no such field'])
        self.assertEqual(self.misfits('properties.size', 1), ['$.properties.size: DiskProperties has no such field'])
        self.assertEqual(self.misfits('properties', {}), ['$.properties: creationData is missing'])

    def test_the_network_too(self):
        address = azure.mgmt.network.models.PublicIPAddress({
            'sku': {'name': 'Plain'}, 'properties': {'publicIPAllocationMethod': 'static', 'ipAddress': 1}})
        self.assertEqual(list(azure_misfits(address)), ["$.sku.name: 'Plain' is none of PublicIPAddressSkuName",
                                                        '$.properties.ipAddress: 1 is no str'])


if __name__ == '__main__':
    unittest.main()
