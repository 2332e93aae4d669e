#!/usr/bin/env python3
"""Writes test/data/chat/*.json: what jinja2, set up as transformers does, makes of our test templates.

    python3 -m venv venv && venv/bin/pip install jinja2 transformers
    venv/bin/python test/oracle/chat_templates.py

expressions.json: small templates over one set of variables; families.json: the .jinja files beside it
over conversations. Each case has the text, or the fact that it is an error.
"""
import datetime
import json
import pathlib

from transformers.utils import chat_template_utils

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "chat"
NOW = 1700000000


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, datetime.timezone.utc)


chat_template_utils.datetime = FixedClock

VARIABLES = {
    "x": {"a": [1, 2, 3], "b": "Hé llo", "items": 5},
    "l": ["a", "B", "c", "a"],
    "n": None,
    "s": "  Hello Wörld \n",
    "d": {"z": 1, "y": "Q", "Y2": []},
    "msgs": [{"role": "user", "content": "hi", "k": 3}, {"role": "assistant", "content": "yo"}, {"role": "user"}],
    "f": 1.0,
    "big": 1e20,
    "small": 1e-7,
    "t": True,
}

# Expressions, printed one by one.
EXPRESSIONS = r"""
1 if false
x.a[-1]
x['items']
x.nope
x.nope is defined
s|trim
s.strip('\n ')
s[::-1]
s[2:5]
s[-3:]
l[::-2]
l[:-1]
l[5:1:-1]
l[-100:100]
l[100:-100:-1]
x.b[1]
x.b[:2] ~ x.b[-1:]
l
d
[n,t,f,big,small, 1.5, -0.0, 123456789012345680.0, 1e16, 1e15]
('a',)
()
('a','b"\'')
"it's"
["it's", 'q"', 'both\'"', "\n\t\\", "é\u200b\x01\x7f", "\U0001F600"]
x|tojson
x|tojson(indent=2)
[]|tojson(indent=2)
{'a':[],'b':{}}|tojson(indent=4)
{'a':[1,{'b':none}]}|tojson(indent='--')
"<é\"\\\n\x01\x7f/>"|tojson
[big,small,f,t,n]|tojson
x|tojson(separators=(',',':'))
d|tojson(sort_keys=true)
"é😀"|tojson(ensure_ascii=true)
x|tojson(true)
l|join(', ')
[1,none,2.0]|join
msgs|join('-', attribute='role')
l|unique|list
l|unique(case_sensitive=true)|list
l|sort
l|sort(reverse=true,case_sensitive=true)
msgs|sort(attribute='role')|map(attribute='role')|list
l|reverse|list
l|first
l|last
[]|first is defined
l|length
l|count
'héé'|length
zz|length
'abc'|reverse
'abc'|list
msgs|selectattr('role','equalto','user')|list|length
msgs|rejectattr('role','eq','user')|map(attribute='content')|join
msgs|map(attribute='content', default='-')|join(',')
msgs|selectattr('content')|list|length
l|map('upper')|join
l|map('replace','a','--')|list
l|select('in',['a'])|list
l|reject('==','a')|list
msgs|selectattr('content','defined')|list|length
msgs|selectattr('content','undefined')|list|length
[1,2,3,4]|select('odd')|list
[0,1,'']|select|list
'hello WORLD-foo (bar'|title
"they're x1y".title()
'hELLO wORLD'|capitalize
'ÀÉ'|lower
'àé'|upper
'aXbX'|replace('X','--')
'aaa'|replace('a','b',2)
'abc'.replace('','-')
'a b  c'.split()
'a,b,,c'.split(',')
'a,b,c'.split(',',1)
' a  b c '.split(none,1)
'a,b,c'.rsplit(',',1)
'a\nb\r\nc'.splitlines()
'a\nb\n'.splitlines(true)
'abcabc'.find('c')
'abc'.find('z')
'éxé'.rfind('é')
'abab'.count('ab')
'k=v=w'.partition('=')
'k=v=w'.rpartition('=')
'kv'.partition('=')
'xaxx'.strip('x')
'xaxx'.lstrip('x')
'xaxx'.rstrip('x')
'abc'.startswith('ab')
'abc'.endswith(('x','c'))
'abc'.removeprefix('a')
'abc'.removesuffix('c')
'-'.join(['a','b'])
'12'.isdigit()
'1a'.isdigit()
'ab'.isalpha()
' \t'.isspace()
'AB1'.isupper()
7//2
-7//2
-7%3
7%-3
7/2
2**10
2**-1
-2**2
2**3**2
7.5//2
-7.5%2
1+2*3-4
'a'*3
[1]*2+[3]
1~2~none
true+1
10-2-3
1e3
1_000
+3
(-1)**2
6/3
0.1+0.2
1<2<3
3>2>2
1<=1!=2
'a' in 'abc'
1 in [1.0]
'z' not in d
not 'z' in d
'role' in msgs[0]
1==1.0
true==1
[1]==[1]
(1,)==[1]
none==undefinedthing
zz==yy
1 or 2
0 and 1
'' or 'x'
not true
[1,2]<[1,3]
'a'<'b'
{'a':1,'b':2}=={'b':2,'a':1}
n is none
n is not none
s is string
d is mapping
l is iterable
s is iterable
1 is number
true is number
true is boolean
1 is integer
true is integer
1.0 is float
l is sequence
d is sequence
zz is undefined
3 is odd
4 is even
9 is divisibleby 3
9 is divisibleby(2)
'a' is in l
'a' is eq 'a'
false is false
0 is false
true is true
'AB' is upper
zz is iterable
1 is not string and 2 is number
5 is gt 3
5 is ge 5
4 is lt 3
x.items is callable
zz|default('d')
''|default('d')
''|default('d',true)
n|default('d')
zz|d
x.nope|default([])|length
'42'|int
'4x'|int(7)
'4.9'|int
4.9|int
-4.9|int
' 12 '|int
'1.5'|float
'x'|float
-3|abs
2.567|round(2)
2.5|round
3.5|round
2.1|round(0,'ceil')
-2.1|round(method='floor')
'ff'|int(0,16)
[1,2.5]|sum
msgs|sum(attribute='k', start=1)
[3,1]|max
['b','A']|min
3|string + 'x'
'a\nb\n\nc'|indent
'a\nb'|indent(2,true)
'a\n\nb'|indent(2,blank=true)
'a\nb'|indent('>>')
''|indent
d|dictsort
d|dictsort(case_sensitive=true)
{'b':2,'a':3}|dictsort(by='value',reverse=true)
d|items|list
d.items()|list
d.keys()|list
d.values()|list
d.get('z')
d.get('no')
d.get('no','def')
d|list
d|length
dict(a=1,b=2)
{'q':1,'q':2}
"a" "b"
'\u00e9\x41\101\q\''
"{{ }} %}"
{'a':{'b':1}}['a']['b']
{'a':{'b':1}}
'x' if zz else 'y' if n else 'z'
('a' if true else 'b') ~ 'c'
[1,2,3][1:] if true
x.a|length + 1
-x.a[0]|abs
'a' ~ 1 + 2
(1,2)[0]
x.a.1
1 if true else 2, 3
strftime_now('%Y-%m-%d %b %B %d')
range(1,10,3)|list
range(3,0,-1)|list
range(0)|list
n.foo
'abc'.foo
l.foo is defined
l[10] is defined
'abc'[9] is defined
n['x'] is defined
(zz or {}).get('a','b')
msgs[0].content.split('h')[-1].lstrip('\n')
msgs[-1]['content'] is defined and msgs[-1]['content'] is not none
msgs[1:]|length
msgs|map(attribute='role')|list
msgs[0]|items|map('last')|list
l.index('c')
l.count('a')
zz.foo
'a' + 1
zz + 'a'
l.append(1)
d.update({})
d.pop('z')
raise_exception('boom')
1/0
1%0
'a'|nofilter
1 is notest
zz|tojson
''.split('')
l|trim('x','y')
'a'|upper(1)
namespace(1)
unknown()
x.a()
1 < 'a'
1 in 5
5|length
l['a':]
l[::0]
"unclosed
1 +
{'a' 1}
[1, 2
(1
1 2
a b
x..y
'a'.split(sep=1)
range(1000000)|list
"""

# Whole templates: statements and white space.
STATEMENTS = [
    "{% for k,v in d.items() %}{{k}}={{v}}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% for i in [] %}x{% else %}none{% endfor %}",
    "{% for m in msgs if m.role=='user' %}{{loop.index}}/{{loop.length}}{{loop.first}}{{loop.last}}{{loop.revindex0}};{% endfor %}",
    "{% for m in msgs if m.role=='nobody' %}x{% else %}none{% endfor %}",
    "{% for i in range(5) %}{% if i==1 %}{% continue %}{% endif %}{% if i==3 %}{% break %}{% endif %}{{i}}{% endfor %}",
    "{% for i in range(3) %}{{ loop.previtem|default('-') }}{{ loop.nextitem|default('-') }}{% endfor %}",
    "{% for a,(b,c) in [(1,(2,3))] %}{{a}}{{b}}{{c}}{% endfor %}",
    "{% for c in 'añb' %}{{c}}.{% endfor %}{% for q in zz %}x{% endfor %}",
    "{% for i in [1] %}{% continue %}{% else %}none{% endfor %}{% for i in [1] %}{% break %}{% else %}none{% endfor %}",
    "{% for i in [1,2] %}{% if i == 1 %}{% continue %}{% endif %}{% else %}none{% endfor %}",
    "{% for i in 1, 2 %}{{ i }}{% endfor %}",
    "{% for i in [1,2] %}{% for j in [3,4] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% set ns=namespace(i=0, s='') %}{% for i in range(4) %}{% set ns.i=ns.i+i %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ns.i}}{{ns.s}}{{ns.none}}",
    "{% set y=1 %}{% for i in [1] %}{% set y=2 %}{{y}}{% endfor %}{{y}}",
    "{% if true %}{% set y=3 %}{% endif %}{{y}}",
    "{% set a,b=1,2 %}{{a+b}}",
    "{% set t = 1, %}{{ t }}",
    "{% set y=1 %}{% set blk %} hi {{y}} {% set y=2 %}{% endset %}[{{blk}}]{{y}}",
    "{% set blk|upper|trim %} up {% endset %}[{{blk}}]",
    "{% for i in [1,2] %}{{ u|default('U') }}{% set u=i %}{{u}}{% endfor %}|{{ u|default('out') }}",
    "{% macro m(a,b=2) %}<{{a}}{{b}}{{ y|default('?') }}>{% endmacro %}{{ m(1) }}{{ m(1,b=3) }}{{ m() }}{% set y='late' %}{{ m(b=1,a=0) }}",
    "{% macro rec(n) %}{{n}}{% if n>0 %}{{ rec(n-1) }}{% endif %}{% endmacro %}{{ rec(3) }}",
    "{% macro m(x, y=x) %}{{x}}{{y}}{% endmacro %}{{ m(4) }}",
    "{% macro m(x) %}{% set x = x + 1 %}{{x}}{% endmacro %}{% set x = 5 %}{{ m(1) }}{{ x }}{{ m(1)|length }}",
    "{% macro m() %}{% for i in [1,2] %}{{ i }}{% endfor %}{% endmacro %}{% for j in [1,2] %}{{ m() }},{% endfor %}",
    "{% macro m(a) %}{% endmacro %}{{ m(1,2) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}",
    "{% if 0 %}a{% elif [] %}b{% elif 'x' %}c{% else %}d{% endif %}",
    "{% if msgs[0]['role'] == 'system' %}{% set rest = msgs[1:] %}{% else %}{% set rest = msgs %}{% endif %}{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}{{ m.role }}{% endfor %}",
    "{% generation %}gen {{ 1 }}{% set g = 1 %}{% endgeneration %}{{ g is defined }}",
    "{% raw %}{{ not }} {% if %}{% endraw %}!",
    "a {%- raw -%}  r  {%- endraw %} b",
    "w {{- 'v' -}}  u",
    "  {% if true %}  \n a\n  {%- endif %}\n b\n{#- c -#}\n   x {# y #} z\n {%+ if true %}q{% endif +%}\nlast\n",
    "  {% if true %}  \r\n a\r\n  {%- endif %}\r\n b\r\n",
    "{% if true %}\n\na\n{% endif %}\n\n",
    "  {{ 1 }}  \n  {% set a=1 %}\n  b",
    "a\n{#- x #}\n b",
    "  {# c #}\n  {# d #}  e",
    "x\n\t {%- if true %} y {%- endif -%} \n z",
    "{%- for i in [1,2] -%}\n {{i}} \n{%- endfor %}",
    "{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\nend\n",
    "\n", "a\n\n", "", "{", "{a}", "%}", "}}", "{ {", "{{ '}}' }}", "{{ '%}' }}{# #}",
    "{{ 1 -}}\n\n x {{ {'a': {'b': 2}}.a.b }}",
    "{% if 1 %}", "{% endif %}", "{% for %}", "{% for i in l %}{% endif %}", "{{", "{%", "{# x",
    "{% break %}", "{% set 1 = 2 %}",
    "{% frobnicate %}", "{% set x.y = 1 %}",
    "{% set true = 1 %}", "{% for a, b in [1] %}{% endfor %}", "{% for a, b in [(1,2,3)] %}{% endfor %}",
    "{% macro m(a=1, b) %}{% endmacro %}", "{% if 1 %}{% else %}{% else %}{% endif %}", "{{ 1 }", "{% if 1 }",
    "{{ [1 }}", "{{ (1] }}",
]


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "weather <b>now</b>, é\nin a city", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "description": "City & \"name\""}, "days": {"type": "integer", "enum": [1, 2]}},
        "required": ["city"]}}},
    {"type": "function", "function": {"name": "add", "description": "Adds", "parameters": {
        "type": "object", "properties": {"b": {"type": ["number", "null"]}, "a": {"type": "number"}}, "required": []},
        "return": {"type": "number", "description": "sum"}}},
]
CALLS = [{"id": "call12345", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris", "days": 1}}}]
RESULT = {"role": "tool", "tool_call_id": "call12345", "name": "get_weather", "content": '{"t": 21.5}'}
SYSTEM = {"role": "system", "content": " Be kind.\n"}
CONVERSATIONS = [
    [user("Hello")],
    [user("  Hi \n"), assistant(" Hello! "), user("日本 <|im_end|> {{ x }} 'q' \"d\" \\n")],
    [SYSTEM, user("2+2?"), assistant("4"), user("thanks")],
    [SYSTEM, user("weather?"), assistant("", tool_calls=CALLS), RESULT, assistant("It is 21.5"), user("ok")],
    [user("weather?"), assistant(None, tool_calls=CALLS), RESULT, RESULT],
    [user("a"), assistant("<think>\nlet me see\n</think>\n\nFour. "), user("b")],
    [user("a"), assistant("answer", reasoning_content="hmm")],
    [user("a"), user("b")],
    [user([{"type": "text", "text": " part one "}, {"type": "text", "text": "two"}])],
    [SYSTEM],
]


def result(template, variables):
    try:
        return {"text": chat_template_utils._cached_compile_jinja_template(template).render(**variables)}
    except Exception as error:  # whatever jinja2 or Python says
        return {"error": type(error).__name__}


def write(name, content):
    (DATA / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main():
    templates = ["{{ " + e + " }}" for e in EXPRESSIONS.strip("\n").split("\n")] + STATEMENTS
    write("expressions.json", {"variables": VARIABLES, "cases": [{"template": t, **result(t, VARIABLES)} for t in templates]})
    cases = []
    for path in sorted(DATA.glob("*.jinja")):
        for number, messages in enumerate(CONVERSATIONS):
            for tools in (None, TOOLS):
                for more in ({"add_generation_prompt": True}, {"add_generation_prompt": False}, {"add_generation_prompt": True, "enable_thinking": False}):
                    if more.get("enable_thinking") is False and path.stem != "qwen3":
                        continue
                    variables = {"messages": messages, "tools": tools, "bos_token": "<s>", "eos_token": "</s>", **more}
                    cases.append({"file": path.name, "conversation": number, "tools": tools is not None, "more": more,
                                  **result(path.read_text(encoding="utf-8"), variables)})
    write("families.json", {"now": NOW, "tools": TOOLS, "conversations": CONVERSATIONS, "cases": cases})


if __name__ == "__main__":
    main()
