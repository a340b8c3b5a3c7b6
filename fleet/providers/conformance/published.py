"""What in an answer is not as the cloud's own published description of it says."""

import datetime
import enum
import functools
import json
import re
import sys
import typing
import xml.etree.ElementTree

import hyperstack

EC2_NAMESPACE = 'http://ec2.amazonaws.com/doc/2016-11-15/'
STS_NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/'
AZURE_TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)')  # RFC 3339


def google_misfits(schemas, schema, value, path='$'):
    """Of a JSON value, held against a discovery document's schema."""
    if '$ref' in schema:
        schema = schemas[schema['$ref']]
    if schema.get('enum') and value not in schema['enum']:
        yield f'{path}: {value!r} is none of the enum'
    kinds = {'string': str, 'boolean': bool, 'integer': int, 'number': (int, float), 'array': list, 'object': dict}
    if not isinstance(value, kinds[schema['type']]):
        yield f'{path}: {value!r} is no {schema["type"]}'
    elif schema['type'] == 'array':
        for i, item in enumerate(value):
            yield from google_misfits(schemas, schema['items'], item, f'{path}[{i}]')
    elif schema['type'] == 'object':
        for name, item in value.items():
            field = schema.get('properties', {}).get(name, schema.get('additionalProperties'))
            if field is None:
                yield f'{path}.{name}: there is no such field'
            else:
                yield from google_misfits(schemas, field, item, f'{path}.{name}')


@functools.cache
def _azure_fields(kind):
    """Of a model: by the name on the wire what a value is, and whether it is always there."""
    hints = typing.get_type_hints(kind, localns={'_models': sys.modules[kind.__module__.rpartition('.')[0]]})
    fields = kind({})._attr_to_rest_field  # there since the first instance
    return {field._rest_name: (hints[name], type(None) not in typing.get_args(hints[name]))
            for name, field in fields.items()}


def _azure_value_misfits(hint, value, path):
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    if typing.get_origin(hint) is not typing.Union:
        kinds = [hint]
    kind = typing.get_origin(kinds[0]) or kinds[0]
    enums = [kind for kind in kinds if isinstance(kind, enum.EnumMeta)]
    json_types = {str: str, int: int, float: (int, float), bool: bool, list: list, dict: dict, datetime.datetime: str}
    if kind is typing.Literal:
        if value not in typing.get_args(kinds[0]):
            yield f'{path}: {value!r} is none of {typing.get_args(kinds[0])}'
    elif enums:
        # Azure's services write a member in more than one case, and its SDK reads any (CaseInsensitiveEnumMeta). Sizes
        # are more than the SDK's list of them, which HardwareProfile calls deprecated.
        members = {member.value.lower() for known in enums for member in known}
        is_open = enums[0].__name__ == 'VirtualMachineSizeTypes'
        if not isinstance(value, str) or not is_open and value.lower() not in members:
            yield f'{path}: {value!r} is none of {enums[0].__name__}'
    elif hasattr(kind, '_is_model'):
        yield from _azure_model_misfits(kind, value, path)
    elif isinstance(value, bool) != (kind is bool) or not isinstance(value, json_types[kind]):
        yield f'{path}: {value!r} is no {kind.__name__}'
    elif kind is list:
        for i, item in enumerate(value):
            yield from _azure_value_misfits(typing.get_args(kinds[0])[0], item, f'{path}[{i}]')
    elif kind is dict:
        for name, item in value.items():
            yield from _azure_value_misfits(typing.get_args(kinds[0])[1], item, f'{path}.{name}')
    elif kind is datetime.datetime and not AZURE_TIME.fullmatch(value):
        yield f'{path}: {value!r} is no time'


def _azure_model_misfits(kind, value, path):
    if not isinstance(value, dict):
        yield f'{path}: {value!r} is no {kind.__name__}'
        return
    fields = _azure_fields(kind)
    for name, (hint, required) in fields.items():
        if required and name not in value:
            yield f'{path}: {name} is missing'
    for name, item in value.items():
        if name in fields:
            yield from _azure_value_misfits(fields[name][0], item, f'{path}.{name}')
        else:
            yield f'{path}.{name}: {kind.__name__} has no such field'


def azure_misfits(model):
    """Of what azure-mgmt-compute or azure-mgmt-network made of an answer, held against its models' annotations."""
    yield from _azure_model_misfits(type(model), model.as_dict(), '$')


def hyperstack_misfits(model, value, path='$'):
    """Fields that the hyperstack package's models do not have. What is required, and of what type, pydantic says.

    model: what the package made of the JSON value.
    """
    if isinstance(value, list):
        for i, (item, raw) in enumerate(zip(model, value)):
            yield from hyperstack_misfits(item, raw, f'{path}[{i}]')
    elif isinstance(value, dict) and hasattr(type(model), 'model_fields'):
        names = {field.alias or name: name for name, field in type(model).model_fields.items()}
        for wire, raw in value.items():
            if wire in names:
                yield from hyperstack_misfits(getattr(model, names[wire]), raw, f'{path}.{wire}')
            else:
                yield f'{path}.{wire}: {type(model).__name__} has no such field'


class HyperstackClient(hyperstack.ApiClient):
    """Holds every answer against the package's models, which leave out what they do not know, and notes the calls."""

    def __init__(self, configuration):
        super().__init__(configuration)
        self.misfits, self.asked = [], set()

    def call_api(self, method, url, *args, **kwargs):
        path = url.removeprefix(self.configuration.host).split('?')[0]
        self.asked.add(method + ' ' + re.sub(r'/\d+', '/*', path))
        return super().call_api(method, url, *args, **kwargs)

    def deserialize(self, response_text, response_type, content_type):
        model = super().deserialize(response_text, response_type, content_type)
        found = hyperstack_misfits(model, json.loads(response_text))
        self.misfits += [f'{response_type} {misfit}' for misfit in found]
        return model


def _scalar_misfit(shape, text):
    """Why a text is no value of the shape; None: it is one."""
    try:
        if shape.type_name in ('integer', 'long'):
            int(text)
        elif shape.type_name in ('float', 'double'):
            float(text)
        elif shape.type_name == 'timestamp':
            datetime.datetime.strptime(text, '%Y-%m-%dT%H:%M:%SZ')
        elif shape.type_name == 'boolean' and text not in ('true', 'false'):
            raise ValueError('neither true nor false')
    except ValueError as error:
        return f'{text!r} is no {shape.type_name}: {error}'
    if getattr(shape, 'enum', None) and text not in shape.enum:
        return f'{text!r} is none of the enum {shape.name}'
    return None


def _xml_misfits(shape, element, path, besides=()):
    """Of an element's children, held against botocore's shape of it. besides: names that the protocol itself has."""
    tags = [child.tag.rsplit('}', 1)[-1] for child in element]
    if shape.type_name == 'structure':
        members = {member.serialization.get('name', name): (name, member) for name, member in shape.members.items()}
        for name in shape.required_members:
            if shape.members[name].serialization.get('name', name) not in tags:
                yield f'{path}: {name} is missing'
        for tag, child in zip(tags, element):
            if tag in besides:
                continue
            if tag not in members:
                yield f'{path}.{tag}: {shape.name} has no such member'
                continue
            if tags.count(tag) > 1:
                yield f'{path}.{tag}: more than once'
            yield from _xml_misfits(members[tag][1], child, f'{path}.{tag}')
    elif shape.type_name == 'list':
        for i, (tag, child) in enumerate(zip(tags, element)):
            if tag != shape.member.serialization.get('name', 'member'):
                yield f'{path}.{tag}: no item of the list {shape.name}'
            yield from _xml_misfits(shape.member, child, f'{path}[{i}]')
    elif tags:
        yield f'{path}: elements in a {shape.type_name}'
    elif (wrong := _scalar_misfit(shape, element.text or '')) is not None:
        yield f'{path}: {wrong}'


def _json_misfits(shape, value, path='$'):
    kinds = {'structure': dict, 'list': list, 'string': str, 'integer': int, 'double': (int, float), 'boolean': bool,
             'long': int}
    if not isinstance(value, kinds[shape.type_name]):
        yield f'{path}: {value!r} is no {shape.type_name}'
    elif shape.type_name == 'list':
        for i, item in enumerate(value):
            yield from _json_misfits(shape.member, item, f'{path}[{i}]')
    elif shape.type_name == 'structure':
        for name, item in value.items():
            if name not in shape.members:
                yield f'{path}.{name}: {shape.name} has no such member'
            else:
                yield from _json_misfits(shape.members[name], item, f'{path}.{name}')


def aws_misfits(operation, status, body):
    """Of an answer, held against botocore's model of the operation: EC2's, STS's, those of JSON.

    The model says nothing of errors' envelopes: "Common error response format" in EC2's API Reference does.
    """
    protocol = operation.service_model.metadata['protocol']
    shape = operation.output_shape
    if protocol in ('json', 'rest-json'):
        answer = json.loads(body)
        if status == 200:
            yield from _json_misfits(shape, answer)
        elif protocol == 'json' and '__type' not in answer:  # the other has it in a header
            yield '$: an error without its type'
        return
    root = xml.etree.ElementTree.fromstring(body)
    if status != 200:
        code = root.find('Errors/Error/Code') if protocol == 'ec2' else root.find(f'{{{STS_NAMESPACE}}}Error/{{*}}Code')
        if code is None or not code.text:
            yield f'{root.tag}: an error without its code'
        return
    namespace = EC2_NAMESPACE if protocol == 'ec2' else STS_NAMESPACE
    if root.tag != f'{{{namespace}}}{operation.name}Response':
        yield f'{root.tag}: is no answer to {operation.name}'
    if protocol == 'ec2' and shape is None:  # "return", true, is all that the reference has of it
        extra = [child.tag for child in root if child.tag.rsplit('}', 1)[-1] not in ('requestId', 'return')]
        yield from (f'{tag}: {operation.name} answers nothing' for tag in extra)
    elif protocol == 'ec2':
        yield from _xml_misfits(shape, root, operation.name, besides=('requestId',))
    else:
        result = root.find(f'{{{namespace}}}{shape.serialization["resultWrapper"]}')
        yield from _xml_misfits(shape, result, operation.name)
