-- The llmroute filter: meters LLM traffic and sets what its limits select on.
-- Its readable source is filters/lua/src of llmroute, from which tools/bundle_filter.py made this. Apache-2.0.
-- Squeezed: comments and blanks are left out, and a local has the first letter of its name, with a number when that
-- is taken. Lines, strings, fields, globals and the names of the modules are those of the source.
local text = (function()
local b,c,c2,f,f2=string.byte,string.char,table.concat,string.find,math.floor
local g,m,s,t=string.gsub,string.match,string.sub,tonumber
local E={
[34]='"',
[47]="/",
[92]="\\",
[98]="\b",
[102]="\f",
[110]="\n",
[114]="\r",
[116]="\t",
}
local t2={}
function t2.escapes_ok(j)
local a=f(j,"\\",1,true)
while a do
local c=b(j,a+1)or 0
if c==117 then
if not f(j,"^%x%x%x%x",a+2)then
return false
end
elseif not E[c]then
return false
end
a=f(j,"\\",a+2,true)
end
return true
end
local function u(c2)
if c2<128 then
return c(c2)
elseif c2<2048 then
return c(192+f2(c2/64),128+c2%64)
elseif c2<65536 then
return c(224+f2(c2/4096),128+f2(c2/64)%64,128+c2%64)
end
return c(
240+f2(c2/262144),
128+f2(c2/4096)%64,
128+f2(c2/64)%64,
128+c2%64
)
end
function t2.unescape(r)
local a=f(r,"\\",1,true)
if not a then
return r
end
local p,n,f2={},0,1
while a do
local c,w=b(r,a+1),2
local p2=E[c or 0]
if c==117 then
local c=f(r,"^%x%x%x%x",a+2)and t(s(r,a+2,a+5),16)
w=6
if c and c>=55296 and c<56320 and s(r,a+6,a+7)=="\\u"then
local l=t(s(r,a+8,a+11),16)or 0
c=l>=56320 and l<57344 and 65536+(c-55296)*1024+l-56320 or c
w=12
end
p2=c and not(c>=55296 and c<57344)and u(c)
end
if not p2 then
return nil
end
p[n+1],p[n+2]=s(r,f2,a-1),p2
n=n+2
f2=a+w
a=f(r,"\\",f2,true)
end
p[n+1]=s(r,f2)
return c2(p)
end
function t2.is_utf8(v)
local a=f(v,"[\128-\255]")
while a do
local c,s=b(v,a,a+1)
local l,h,w=128,191,2
if c>=240 then
w=4
l=c==240 and 144 or l
h=c==244 and 143 or h
elseif c>=224 then
w=3
l=c==224 and 160 or l
h=c==237 and 159 or h
end
if c<194 or c>244 or not s or s<l or s>h then
return false
end
for i=a+2,a+w-1 do
local m=b(v,i)
if not m or m<128 or m>191 then
return false
end
end
a=f(v,"[\128-\255]",a+w)
end
return true
end
function t2.header_value(v)
local i=m(v,"^[ \t]*(.-)[ \t]*$")
if not i or i==""or f(i,"%c")or not t2.is_utf8(i)then
return nil
end
return i
end
function t2.quote(v)
local e=g(v,'["\\]',"\\%0")
return'"'..e..'"'
end
return t2
end)()
local json = (function()
local b,f,s=string.byte,string.find,string.sub
local e,u=text.escapes_ok,text.unescape
local M=10000
local M2=27*6+2
local W={[116]="true",[102]="false",[110]="null",[78]="NaN",[73]="Infinity"}
local j={}
local function s2(b2,a)
local c=b(b2,a)
if c and c>32 then
return a
end
return f(b2,"[^ \t\r\n]",a)or#b2+1
end
j.solid=s2
local function s3(b2,a,o)
local f2=o and a+1 or a
local q=f2-1
while true do
q=f(b2,'"',q+1,true)
local s=q or#b2+1
local r=s-1
while r>=f2 and b(b2,r)==92 do
r=r-1
end
local e=(s-r)%2==0
if not q then
return nil,e
elseif not e then
return q+1
end
end
end
j.string_end=s3
local function s4(b2,a)
local c=b(b2,a)
local w=W[c or 0]
if c==45 and b(b2,a+1)==73 then
w="-Infinity"
end
if w then
local s2=a+#w
return s(b2,a,s2-1)==w and s2 or nil
end
local f2=c==45 and a+1 or a
local _,s=f(b2,"^%d+",f2)
if not s or(b(b2,f2)==48 and s>f2)then
return nil
end
local _,f2=f(b2,"^%.%d+",s+1)
s=f2 or s
local _,e=f(b2,"^[eE][+-]?%d+",s+1)
return(e or s)+1
end
local function m(b2,a)
if b(b2,a)~=34 then
return nil
end
local s=s3(b2,a+1)
if not s then
return nil
end
local c=s2(b2,s)
if b(b2,c)~=58 then
return nil
end
return s2(b2,c+1),s
end
local function a(b2,a,d,o)
while d>0 do
a=s2(b2,a)
local c=b(b2,a)
if c==44 then
a=s2(b2,a+1)
if o[d]then
a=m(b2,a)
end
return a,d
elseif c~=(o[d]and 125 or 93)then
return nil
end
d=d-1
a=a+1
end
return a,0
end
local function v(b2,a2)
local d,o=0,nil
repeat
local c=b(b2,a2)
local o2=false
if c==34 then
a2=s3(b2,a2+1)
elseif c==123 or c==91 then
if d==M then
return nil
end
local o3=c==123
a2=s2(b2,a2+1)
if b(b2,a2)==(o3 and 125 or 93)then
a2=a2+1
else
o=o or{}
d=d+1
o[d]=o3
o2=true
if o3 then
a2=m(b2,a2)
end
end
else
a2=s4(b2,a2)
end
if a2 and not o2 then
a2,d=a(b2,a2,d,o)
end
until not a2 or d==0
return a2
end
function j.names(...)
local l={...}
for i=1,#l do
l[l[i]]=true
end
return l
end
function j.spans()
return{key={},from={},to={},count=0}
end
function j.members(b2,a,w,s3)
for i=1,s3.count do
s3.from[s3[i]]=nil
end
s3.count=0
if b(b2,a)~=123 then
return nil
end
a=s2(b2,a+1)
if b(b2,a)==125 then
return a+1
end
while true do
local f,k=m(b2,a)
local t=f and v(b2,f)
if not t then
return nil
end
if k-a<=M2 then
local n=u(s(b2,a+1,k-2))
if n and w[n]then
if not s3.from[n]then
s3.count=s3.count+1
s3[s3.count]=n
end
s3.key[n],s3.from[n],s3.to[n]=a,f,t
end
end
a=s2(b2,t)
local c=b(b2,a)
if c==125 then
return a+1
elseif c~=44 then
return nil
end
a=s2(b2,a+1)
end
end
function j.document(b,w,s3)
local s=s2(b,s(b,1,3)=="\239\187\191"and 4 or 1)
local s3=j.members(b,s,w,s3)
if s3 and s2(b,s3)>#b and e(b)then
return s
end
return nil
end
return j
end)()
local usage = (function()
local c,f,s,t=math.ceil,string.find,string.sub,tonumber
local m=string.match
local n,s2=json.names,json.spans
local M=1000000000
local R={
{
prompt={"prompt_tokens"},
completion={"completion_tokens"},
total="total_tokens",
cached={"prompt_tokens_details.cached_tokens"},
reasoning="completion_tokens_details.reasoning_tokens",
},
{
prompt={"input_tokens","cache_creation_input_tokens","cache_read_input_tokens"},
completion={"output_tokens"},
total="total_tokens",
cached={"cache_read_input_tokens","input_tokens_details.cached_tokens"},
cache_write="cache_creation_input_tokens",
reasoning="output_tokens_details.reasoning_tokens",
},
{
prompt={"promptTokenCount"},
completion={"candidatesTokenCount","thoughtsTokenCount"},
total="totalTokenCount",
cached={"cachedContentTokenCount"},
reasoning="thoughtsTokenCount",
},
{
prompt={"inputTokens","cacheReadInputTokens","cacheWriteInputTokens"},
completion={"outputTokens"},
total="totalTokens",
cached={"cacheReadInputTokens"},
cache_write="cacheWriteInputTokens",
},
{
prompt={"prompt_eval_count"},
completion={"eval_count"},
cached={},
},
}
local W={"tokens","billed_units"}
local F,I={},{}
local function f2(p)
local o,i=m(p,"^([^.]+)%.?(.*)$")
if i~=""then
I[o]={names=n(i),path=p}
end
F[#F+1]=o
F[o]=true
end
local function f3(l)
for i=1,#l do
f2(l[i])
end
end
for i=1,#R do
local r=R[i]
f3(r.prompt)
f3(r.completion)
f3(r.cached)
f3({r.reasoning})
f3({r.total})
end
f3(W)
local u={}
local function c2(v)
return v<M and v or M
end
u.clamp=c2
local function n(b,f2,n)
local f3=f2.from[n]
if not f3 or not f(b,"^%d",f3)and not f(b,"^%-0",f3)then
return nil
end
local v=t(s(b,f3,f2.to[n]-1))
if not v or v<0 then
return nil
end
return c(c2(v))+0
end
local function f(b,a)
local f,f2=s2(),{}
if not json.members(b,a,F,f)then
return nil,f
end
for i=1,f.count do
local n2=f[i]
local i=I[n2]
if not i then
f2[n2]=n(b,f,n2)
else
local d=s2()
if json.members(b,f.from[n2],i.names,d)then
f2[i.path]=n(b,d,i.names[1])
end
end
end
return u.numbers(f2)and f2,f
end
function u.fields(b,a,w)
local f2,f3=f(b,a)
if f2 and not w then
return f2
end
for i=1,#W do
local f3=f3.from[W[i]]
f2=f3 and f(b,f3)
if f2 then
return f2
end
end
return nil
end
local function s(f,l)
local a
for i=1,#l do
local o=f[l[i]]
a=o and(a or 0)+o or a
end
return a
end
local function f(f,l)
for i=1,#l do
if f[l[i]]then
return f[l[i]]
end
end
return 0
end
local function r(f)
for i=1,#R do
if s(f,R[i].prompt)or s(f,R[i].completion)then
return R[i]
end
end
for i=1,#R do
if f[R[i].total or""]then
return R[i]
end
end
return nil
end
function u.numbers(f2)
local r=r(f2)
if not r then
return nil
end
local p=c2(s(f2,r.prompt)or 0)
local c=c2(s(f2,r.completion)or 0)
return{
prompt=p,
completion=c,
total=f2[r.total or""]or c2(p+c),
cached=f(f2,r.cached),
cache_write=f2[r.cache_write or""]or 0,
reasoning=f2[r.reasoning or""]or 0,
}
end
return u
end)()
local document = (function()
local b,f,f2,m,s=string.byte,string.find,string.format,math.min,string.sub
local s2,u=json.string_end,text.unescape
local M=4096
local M2=17*6
local M3=64
local C={usage=true,usageMetadata=true,meta=true}
local N={response=true,message=true,delta=true}
local S={done=true,prompt_eval_count=true,eval_count=true}
local d={}
function d.new(s,e)
return{
sink=s,
event=e,
base=0,
depth=0,
item=false,
quoted=false,
odd=false,
key=false,
name=nil,
outer=nil,
inner=nil,
within=false,
usage=nil,
close=0,
scalar=nil,
values=nil,
candidates=false,
over=false,
}
end
local function k(s2,b,f,t)
if s2.usage then
s2.usage=#s2.usage+t-f<M and s2.usage..s(b,f,t)
elseif s2.scalar then
s2.scalar=#s2.scalar+t-f<M3 and s2.scalar..s(b,f,t)or nil
end
end
local function i(s3,b,a)
local s2,o=s2(b,a,s3.odd)
if s3.name then
local i=m((s2 or#b+2)-2,a+M2)
s3.name=#s3.name<=M2 and s3.name..s(b,a,i)or s3.name
end
if not s2 then
s3.odd=o
return#b+1
end
s3.odd,s3.quoted=false,false
if s3.name then
local n=u(s3.name)
if s3.within then
s3.inner=n
else
s3.outer=n
end
s3.name=nil
end
return s2
end
local function r(s)
local a=s.depth-s.base
return s.item and(a==1 or a==2 and s.within)
end
local function e(s)
if s.scalar then
s.values=s.values or{}
s.values[s.outer]=s.scalar
s.scalar=nil
end
end
local function o(s,o,a)
local d=s.depth+1
local a2=d-s.base
s.depth=d
if d==1 and not o and not s.event then
s.base=1
elseif a2==1 then
s.item,s.key,s.outer,s.values,s.candidates=o,true,nil,nil,false
elseif not s.item or s.usage~=nil then
return nil
elseif a2==2 and o and C[s.outer or 0]then
s.usage,s.close="",d-1
return a
elseif a2==2 and o and s.event and N[s.outer or 0]then
s.within,s.key,s.inner=true,true,nil
elseif a2==3 and o and s.within and s.inner=="usage"then
s.usage,s.close="",d-1
return a
elseif a2==3 and o and s.outer=="candidates"then
s.candidates=true
end
return nil
end
local function t(s)
if s.usage then
local s2=s.within and'{"type":"","%s":{"usage":%s}}'or'{"%s":%s}'
s.sink:event(f2(s2,s.outer,s.usage))
end
s.usage=nil
end
local function t2(s2)
e(s2)
local v=not s2.event and s2.values
if v and(v.done or v.prompt_eval_count)then
local c=v.done and""or',"done":true'
for n,v in pairs(v)do
c=c..f2(',"%s":%s',n,v)
end
s2.sink:event("{"..s(c,2).."}")
elseif s2.base==1 and s2.candidates then
s2.sink:event('{"candidates":[0]}')
end
s2.item,s2.values=false,nil
end
local function c(s,b,f,a)
s.depth=s.depth-1
local a2=s.depth-s.base
if s.usage~=nil and s.depth==s.close then
k(s,b,f,a)
t(s)
end
if a2==1 then
s.within=false
elseif a2==0 and s.item then
k(s,b,f,a-1)
t2(s)
end
s.over=a2<0 or s.event and a2==0
end
local function s(s,b,c2,f,a)
if c2==34 then
s.quoted=true
if s.key and s.usage==nil and r(s)then
s.name=""
end
elseif c2==123 or c2==91 then
return o(s,c2==123,a)or f
elseif c2==125 or c2==93 then
c(s,b,f,a)
elseif c2==58 then
s.key=false
if not s.within and S[s.outer or 0]then
s.scalar=""
return a+1
end
else
k(s,b,f,a-1)
e(s)
s.key=true
end
return f
end
function d.push(s2,b2)
local a,s3,f2=1,#b2,1
while a<=s3 and not s2.over do
if s2.quoted then
a=i(s2,b2,a)
elseif s2.depth==0 then
a=f(b2,"[^ \t\r\n\239\187\191]",a)
if not a then
break
end
local c=b(b2,a)
s2.over=c~=123 and c~=91
f2=s(s2,b2,c,f2,a)
a=a+1
else
a=f(b2,s2.usage==nil and r(s2)and'["{}%[%],:]'or'["{}%[%]]',a)
if not a then
break
end
f2=s(s2,b2,b(b2,a),f2,a)
a=a+1
end
end
k(s2,b2,f2,s3)
end
return d
end)()
local oversize = (function()
local b,s=string.byte,string.sub
local E=6
local o={}
function o.new(s)
return{
sink=s,
head="",
data=false,
}
end
function o.value(l,s2)
if s(l,s2,s2+3)~="data"then
return nil
end
local c=b(l,s2+4)
if c==58 then
return b(l,s2+5)==32 and s2+6 or s2+5
end
return not c and s2+4 or nil
end
function o.push(s2,p)
if s2.head then
p=s2.head..p
s2.head=#p<E and p or nil
local v=not s2.head and o.value(p,1)
s2.data=v~=nil and v~=false
p=v and"\n"..s(p,v)
end
if s2.data then
s2.sink:pass(p)
end
end
function o.line(s2,p)
o.push(s2,p)
local h=s2.head
local v=h and o.value(h,1)
if v then
s2.sink:pass("\n"..s(h,v))
end
s2.head,s2.data="",false
return h==""
end
return o
end)()
local sse = (function()
local b,c,f,s=string.byte,table.concat,string.find,string.sub
local M=24576
local L=32
local M2=64
local s2={}
function s2.new(h)
return{
hold=h,
first=true,
cr=nil,
parts={},
count=0,
size=0,
over=nil,
data=nil,
more=nil,
raw={},
line=0,
value=0,
before={},
lines=0,
begun={},
pieces=0,
}
end
local function f2(s)
s.size,s.over,s.data,s.more,s.line=0,nil,nil,nil,0
if#s.raw>0 then
s.raw={}
end
end
local function e(o,b,e)
if o then
o[#o+1]=b
o[#o+1]=e
end
end
local function e2(o,l,f,l2)
if o then
for i=f,l2 do
o[#o+1]=l[i]
end
end
end
local function g(s2,s3,o)
e2(o,s2.raw,1,#s2.raw)
e2(o,s2.parts,1,s2.count)
if s2.data then
s3:pass(s2.more and s2.data.."\n"..c(s2.more,"\n")or s2.data)
end
local l=c(s2.parts,"",1,s2.count)
s2.over=oversize.new(s3)
oversize.push(s2.over,s2.first and s(l,1,3)=="\239\187\191"and s(l,4)or l)
s2.raw,s2.parts,s2.count,s2.data,s2.more,s2.first={},{},0,nil,nil,false
end
local function d(s2,s3,o)
if s2.over then
s3:lost()
elseif s2.data then
local d=s2.more and s2.data.."\n"..c(s2.more,"\n")or s2.data
local f,t=s3:event(d)
if s2.hold and f==false then
f2(s2)
return false
elseif s2.hold and f and s2.line>0 then
local l,s3=s2.raw[s2.line],s2.value-1
e2(o,s2.raw,1,s2.line-1)
e(o,s(l,1,s3+f-1),s(l,s3+t+1))
e2(o,s2.raw,s2.line+1,#s2.raw)
f2(s2)
return true
end
end
e2(o,s2.raw,1,#s2.raw)
f2(s2)
return true
end
local function f2(s2,o,l,e2,s3)
local i=s2.size==0
if i and b(l,s3)==58 then
e(o,l,e2)
return
end
s2.size=s2.size+#l+L
local v=oversize.value(l,s3)
if v and s2.data then
s2.more,s2.line=s2.more or{},0
s2.more[#s2.more+1]=s(l,v)
elseif v then
s2.data,s2.line,s2.value=s(l,v),#s2.raw+1,v
end
if s2.hold then
e(s2.raw,l,e2)
end
end
local function t(s2,s3,o,t,e2)
local s4=1
if s2.over then
e(o,t,e2)
return not oversize.line(s2.over,t)or d(s2,s3,o)
end
local l=t
if s2.count>0 then
s2.parts[s2.count+1]=t
l=c(s2.parts,"",1,s2.count+1)
s2.size,s2.parts,s2.count=s2.size-(#l-#t),{},0
end
if s2.first then
s2.first=false
s4=s(l,1,3)=="\239\187\191"and 4 or 1
end
if s2.size+#l>M then
g(s2,s3,o)
e(o,l,e2)
oversize.line(s2.over,s(l,s4))
return true
elseif#l>=s4 then
f2(s2,o,l,e2,s4)
return true
end
if s2.hold then
e(s2.raw,l,e2)
end
return d(s2,s3,o)
end
local function b2(s,s2,o,p)
if s.over then
e(o,p)
oversize.push(s.over,p)
return
end
s.count=s.count+1
s.parts[s.count]=p
s.size=s.size+#p
if s.count==M2 then
s.parts,s.count={c(s.parts,"",1,M2)},1
end
if s.size>M then
g(s,s2,o)
end
end
local function l(s,o)
if s.cr=="kept"and#s.raw>0 then
s.raw[#s.raw+1]="\n"
elseif s.cr=="kept"then
e(o,"\n")
end
end
function s2.push(s2,b3,s3)
local o=s2.hold and{}or nil
local a,s4=1,#b3
s2.before,s2.lines=s2.raw,#s2.raw
s2.begun,s2.pieces=s2.parts,s2.count
if s2.cr and s4>0 then
if b(b3,1)==10 then
l(s2,o)
a=2
end
s2.cr=nil
end
local c2,l=f(b3,"\r",a,true),f(b3,"\n",a,true)
while a<=s4 do
local s5=c2 and l and(c2<l and c2 or l)or c2 or l
if not s5 then
b2(s2,s3,o,s(b3,a))
break
end
local l2=s5==c2 and l==s5+1 and l or s5
local k=t(s2,s3,o,s(b3,a,s5-1),s(b3,s5,l2))
if s5==s4 and s5==c2 then
s2.cr=k and"kept"or"cut"
end
a=l2+1
if c2 and c2<a then
c2=f(b3,"\r",a,true)
end
if l and l<a then
l=f(b3,"\n",a,true)
end
end
return o and c(o)
end
function s2.finish(s,s2)
local o=s.hold and{}or nil
if s.count>0 then
t(s,s2,o,"","")
end
d(s,s2,o)
return o and c(o)
end
function s2.held(s)
return c(s.before,"",1,s.lines)..c(s.begun,"",1,s.pieces)
end
return s2
end)()
local eventstream = (function()
local b,s=string.byte,string.sub
local M=8192
local P,C=12,4
local M2=16777216+131072+P+C
local e={}
function e.new()
return{
head="",
skip=0,
left=nil,
payload="",
over=false,
}
end
local function l(h,a)
local a,b,c,d=b(h,a,a+3)
return((a*256+b)*256+c)*256+d
end
local function p(s)
local t,h=l(s.head,1),l(s.head,5)
s.head=""
s.left=t-h-P-C
s.skip=h
s.payload=s.left<=M and""
s.over=s.left<0 or t>M2
end
local function f(s,s2)
if s.payload then
s2:event(s.payload)
else
s2.meter:delta()
end
s.left,s.skip=nil,C
end
function e.push(s2,b,s3)
local a,s4=1,#b
while a<=s4 and not s2.over do
if s2.skip>0 then
local s=s2.skip<s4-a+1 and s2.skip or s4-a+1
s2.skip,a=s2.skip-s,a+s
elseif not s2.left then
local m=P-#s2.head
s2.head=s2.head..s(b,a,a+m-1)
a=a+m
if#s2.head==P then
p(s2)
end
else
local s3=s2.left<s4-a+1 and s2.left or s4-a+1
s2.payload=s2.payload and s2.payload..s(b,a,a+s3-1)
s2.left,a=s2.left-s3,a+s3
end
if s2.left==0 and s2.skip==0 and not s2.over then
f(s2,s3)
end
end
return not s2.over
end
return e
end)()
local meter = (function()
local c,m,pairs=math.ceil,math.max,pairs
local c2=usage.clamp
local N="llmroute"
local m2={}
local function m3(h)
return h:streamInfo():dynamicMetadata()
end
function m2.set(h,k,v)
m3(h):set(N,k,v)
end
function m2.get(h)
local k=m3(h):get(N)
return type(k)=="table"and k or{}
end
function m2.default(h)
local o=m3(h)
o:set(N,"total_tokens",0)
o:set(N,"prompt_tokens",0)
o:set(N,"completion_tokens",0)
o:set(N,"cached_tokens",0)
o:set(N,"cache_write_tokens",0)
o:set(N,"reasoning_tokens",0)
o:set(N,"no_cost",0)
o:set(N,"usage_source","none")
o:set(N,"model","unknown")
end
local function d(s)
s.deltas=s.deltas+1
s.streamed=true
end
local function w(s,b)
s.weight=s.weight+c(b/4)
end
local function b(s,f)
s.heard=s.heard+1
s.fields=f
s.base=usage.numbers(f)
end
local function r(s,f)
s.heard=s.heard+1
local k=s.fields
if k then
for n,v in pairs(f)do
k[n]=v
end
f=k
end
s.reported=usage.numbers(f)
end
local function e(s)
local b=s.base
local s2=s.streamed and s.deltas+s.weight or c(s.bytes/4)
local p=b and b.prompt or s.prompt
local c=c2(b and m(b.completion,s2)or s2)
return{
prompt=p,
completion=c,
total=c2(p+c),
cached=b and b.cached or 0,
cache_write=b and b.cache_write or 0,
reasoning=b and b.reasoning or 0,
source="estimated",
}
end
local function f(t,s)
return{
prompt=t,
completion=t,
total=t,
cached=0,
cache_write=0,
reasoning=0,
source=s,
}
end
local function p(s,o,k,v)
if s.written[k]~=v then
o:set(N,k,v)
s.written[k]=v
end
end
local function p2(s,h,n)
local o=m3(h)
p(s,o,"cached_tokens",n.cached)
p(s,o,"cache_write_tokens",n.cache_write)
p(s,o,"reasoning_tokens",n.reasoning)
p(s,o,"prompt_tokens",n.prompt)
p(s,o,"completion_tokens",n.completion)
p(s,o,"total_tokens",n.total)
p(s,o,"usage_source",n.source or"reported")
end
local function w2(s,h)
if s.policy.onDisconnect=="Free"or(s.reported and s.reported==s.latest)then
return
end
s.latest=s.reported
if s.reported then
p2(s,h,s.reported)
elseif not s.unestimated then
p2(s,h,e(s))
end
end
local function f2(s,h)
local p,n=s.policy,s.reported
if not n then
if s.unestimated or p.onMissing=="Free"then
n=f(0,"none")
elseif p.onMissing=="Fixed"then
n=f(p.fixedTokens,"fixed")
else
n=e(s)
end
end
p2(s,h,n)
end
function m2.new(p,k)
return{
policy=p,
prompt=tonumber(k.prompt_estimate)or 0,
unestimated=k.unestimated,
streamed=false,
deltas=0,
weight=0,
bytes=0,
heard=0,
fields=nil,
base=nil,
reported=nil,
latest=nil,
written={
cached_tokens=0,
cache_write_tokens=0,
reasoning_tokens=0,
prompt_tokens=0,
completion_tokens=0,
total_tokens=0,
usage_source="none",
},
delta=d,
weigh=w,
begin=b,
report=r,
write=w2,
finish=f2,
}
end
return m2
end)()
local echo = (function()
local f,s=string.find,string.sub
local s2=json.string_end
local M=8
local M2=1024
local e={}
function e.new()
return{
last=nil,
head=nil,
tail=nil,
tries=0,
}
end
function e.same(s2,d)
local h=s2.head
if not h or s(d,1,#h)~=h then
return nil
end
local q=f(d,'"',#h+1,true)
if not q or s(d,q)~=s2.tail then
return nil
end
local e=f(d,"\\",#h+1,true)
if e and e<q then
return nil
end
s2.tries=0
return q-#h-1
end
local function d(o,o2)
if o==o2 then
return nil
end
local s2,d=0,#o<#o2 and#o+1 or#o2+1
while d-s2>1 do
local m=s2+(d-s2-(d-s2)%2)/2
if s(o,1,m)==s(o2,1,m)then
s2=m
else
d=m
end
end
return d
end
function e.learn(s3,d2,f2,t)
local l=s3.last
s3.last,s3.head=nil,nil
if s3.tries==M or#d2>M2 then
return nil
end
s3.last,s3.tries=d2,s3.tries+1
local a=l and d(l,d2)
if not a or a<=f2 or a>=t then
return nil
end
local o=f(d2,'"',f2,true)
while o and o<a do
local s2=s2(d2,o+1)
if a<s2 then
s3.head,s3.tail,s3.last=s(d2,1,o),s(d2,s2-1),nil
return s2-o-2
end
o=f(d2,'"',s2,true)
end
return nil
end
return e
end)()
local events = (function()
local b,f,s=string.byte,string.find,string.sub
local m,s2=json.members,json.solid
local f2=usage.fields
local W=json.names(
"message",
"response",
"choices",
"candidates",
"type",
"delta",
"done",
"usage",
"usageMetadata",
"meta",
"error",
"role",
"start",
"stopReason",
"contentBlockIndex"
)
local U=json.names("usage")
local function m2(d,f2)
local f2,t=f2.key.usage,f2.to.usage-1
local b2=f2-1
while f(d,"^[ \t\r\n]",b2)do
b2=b2-1
end
if b(d,b2)==44 then
return b2,t
end
local a=s2(d,t+1)
if b(d,a)==44 then
t=s2(d,a+1)-1
end
return f2,t
end
local function l(d,a)
if not a or b(d,a)~=91 then
return false,false
end
return true,b(d,s2(d,a+1))==93
end
local function h(d,f2)
local a,k=f2.from.delta,f2.from.type
local c=a and b(d,a)
if c~=34 and c~=123 then
return false
elseif not k or b(d,k)~=34 then
return true
end
local n=s(d,k+1,f2.to.type-2)
return f(n,"delta$")~=nil and n~="message_delta"
end
local function i(d,f)
local f2=f.from
local i,e=l(d,f2.choices or f2.candidates)
if i then
return not e
end
return h(d,f)or f2.done~=nil and b(d,f2.done)==102
end
local function n(s,d,n)
local a=s.found.from[n]
if not a or b(d,a)~=123 then
return nil
end
local i=json.spans()
local f=m(d,a,U,i)and i.from.usage
return f and f2(d,f)
end
local function r(s,d,d2)
local f,m=s.found.from,s.meter
local a=f.usage or f.usageMetadata
local f3=a and f2(d,a)
if not f3 and f.type and f.message then
local b=n(s,d,"message")
if b then
m:begin(b)
return
end
end
f3=f3
or n(s,d,"response")
or(f.delta and not d2 and n(s,d,"delta"))
or(f.meta and f2(d,f.meta,true))
or(f.done and b(d,f.done)==116 and f2(d,s2(d,1)))
if f3 then
m:report(f3)
end
end
local function u(d,f)
local a=f.from.usage
if a and b(d,a)==110 then
return m2(d,f)
elseif a and b(d,a)==123 then
local i,e=l(d,f.from.choices)
if i and e then
return false
end
end
return nil
end
local function l(s,d,f,t)
local f2=s.found
local n=f2.from.choices and"choices"or f2.from.candidates and"candidates"or"delta"
local s2=f2.from[n]and echo.learn(s.echo,d,f2.from[n],f2.to[n])
if s2 then
s.size,s.from,s.to=s2,f,t
s.after=f and f>#s.echo.head
end
end
local function e(s,d)
local s3=echo.same(s.echo,d)
if s3 then
s.meter:delta()
local s2=s.after and s3-s.size or 0
return s.from and s.from+s2,s.from and s.to+s2
end
local f,h=s.found,s.meter.heard
local s2=b(d,s2(d,1))==123 and json.document(d,W,f)
if not s2 then
return nil
elseif f.count==(f.from.message and 1 or 0)+(f.from.response and 1 or 0)then
s.meter:weigh(#d)
return nil
end
local d2=i(d,f)
if d2 then
s.meter:delta()
end
r(s,d,d2)
local f,t=u(d,f)
if d2 and h==s.meter.heard and f~=false then
l(s,d,f,t)
end
return f,t
end
local function p(s,p)
if not s.passing then
s.passing,s.heard=document.new(s,true),s.meter.heard
end
document.push(s.passing,p)
end
local function l(s)
if s.passing and s.meter.heard==s.heard then
s.meter:delta()
end
s.passing=nil
end
local e2={}
function e2.new(m)
return{
meter=m,
found=json.spans(),
echo=echo.new(),
size=0,
from=nil,
to=nil,
after=false,
passing=nil,
heard=0,
event=e,
pass=p,
lost=l,
}
end
return e2
end)()
local context = (function()
local f,t=math.floor,type
local M="x-ai-gateway-llm-model-name"
local B=4194304
local c={}
local function g(h,k)
local a=h:filterContext()
return a and a:get(k)
end
local function l(h,k)
local v=g(h,k)
return t(v)=="table"and v or{}
end
function c.model_header(h)
local n=g(h,"modelHeader")
return t(n)=="string"and n~=""and n or M
end
function c.limits(h)
return l(h,"limits")
end
function c.defaults(h)
return l(h,"defaults")
end
function c.forces(h)
return l(h,"usage").includeUsage~="Keep"
end
function c.max_tokens(h)
local m=g(h,"maxTokens")
return t(m)=="number"and m>=1 and f(m)or nil
end
function c.body_limit(h)
local l=g(h,"bodyLimit")
return t(l)=="number"and l>=0 and l or B
end
function c.usage(h)
local g=l(h,"usage")
local f2=g.fixedTokens
return{
onMissing=g.onMissing or"Estimate",
fixedTokens=t(f2)=="number"and f2>=0 and f(f2)or 0,
onDisconnect=g.onDisconnect or"Charge",
}
end
return c
end)()
local path = (function()
local b,c,f,g,l=string.byte,string.char,string.find,string.gsub,string.lower
local i,s,t=ipairs,string.sub,tonumber
local p={}
local M={
"^.*/openai/deployments/()[^/]+()/",
"^.*/models/()[^/]+():%a+$",
"^.*/tunedmodels/()[^/]+():%a+$",
"^.*/model/()[^/]+()/[^/]+$",
}
local R={
["/v1/chat/completions"]=true,
["/v1/completions"]=true,
["/v1/embeddings"]=true,
["/v1/messages"]=true,
["/v1/responses"]=true,
}
local S={["/"]="\1",["\1"]="\2"}
local function d(h)
local c=c(t(h,16))
return S[c]or c
end
local function m(w,s2)
if not f(s2,"odel",1,true)and not f(s2,"/deployments/",1,true)then
return nil
end
local f2,t=0,nil
for _,p in i(M)do
local _,_,f,s=f(s2,p)
if f and f>f2 then
f2,t=f,s
end
end
return t and s(w,f2,t-1)
end
function p.read(r)
if R[r]then
return r,nil
end
local w=r
if f(r,"[?#%%A-Z]")or f(r,"//",1,true)then
w=g(r,"[?#].*$","")
w=g(w,"%%(%x%x)",d)
w=g(w,"//+","/")
end
local l2=b(w,#w)
if l2==47 or l2==1 then
w=s(w,1,-2)
end
local s=l(w)
local n=m(w,s)
if f(w,"\1",1,true)then
w,s=g(w,"\1","/"),g(s,"\1","/")
n=n and g(n,"\1","/")or m(w,s)
end
return s,n
end
return p
end)()
local multipart = (function()
local b,f,g,g2,l=string.byte,string.find,string.gmatch,string.gsub,string.lower
local m,s=math.min,string.sub
local M,M2=4096,70
local K='^[ \t]*;[ \t]*([^%s;="]+)[ \t]*=[ \t]*'
local Q,T=K..'"([^"\\]*)"',K..'([^%s;,"]*)'
local P={["7bit"]=true,["8bit"]=true,binary=true}
local m2={}
local function p(l2,n)
local f2
local a=f(l2,";",1,true)or#l2+1
while f(l2,"[^ \t;]",a)do
local _,s2,k,v=f(l2,Q,a)
if not s2 then
_,s2,k,v=f(l2,T,a)
end
k=s2 and l(k)
if not s2 or(k==n and f2)or s(k,1,#n+1)==n.."*"then
return false
end
f2=k==n and v or f2
a=s2+1
end
return f2
end
local function i(h)
local i,p2=false,true
for l2 in g(g2(h,"\r?\n[ \t]+"," "),"[^\r\n]+")do
local _,_,k,c=f(l2,"^([^:%s]+)[ \t]*:[ \t]*([^ \t]*)")
k=k and l(k)
if k=="content-disposition"then
local n=p(l2,"name")
if n==false then
return nil
end
i=i or n=="model"
elseif k=="content-transfer-encoding"then
p2=p2 and P[l(c)]
end
end
if i and not p2 then
return nil
end
return i
end
local function d(b,m,a)
local f2,l=0,#m-1
if a>1 or s(b,1,l)~=s(m,2)then
f2,l=f(b,m,a,true)
end
while f2 do
local _,s=f(b,"^[ \t]*\r?\n",l+1)
if s or f(b,"^%-%-[ \t]*\r?\n",l+1)or f(b,"^%-%-[ \t]*$",l+1)then
return f2,s
end
f2,l=f(b,m,l+1,true)
end
return nil
end
local function b2(k)
if not f(l(k),"multipart/form-data",1,true)then
return nil
end
local b=p(k,"boundary")
return b and b~=""and#b<=M2 and b
end
local function f2(b2,f2,t)
local h=s(b2,f2,m(f2+M,t and t-1 or#b2))
if f(h,"^\r?\n")then
return nil
end
local s2,b3=f(h,"\r?\n\r?\n")
local i=s2 and i(s(h,1,s2-1))
if i==false then
return nil
end
if not i or not t then
return false
end
return s(b2,f2+b3,b(b2,t-1)==13 and t-2 or t-1)
end
function m2.model(k,b)
local b2=b2(k)
if not b2 then
return b2
end
local m="\n--"..b2
local m2
local _,a=d(b,m,1)
while a do
local t,n=d(b,m,a)
local v=f2(b,a+1,t)
if v==false or(v and m2 and v~=m2)then
return false
end
m2=v or m2
a=n
end
return m2
end
return m2
end)()
local edits = (function()
local b,c,s=string.byte,table.concat,string.sub
local s2=json.solid
local e={}
function e.replace(l,f,t,t2)
local i=#l+1
while i>1 and l[i-1].from>f do
l[i]=l[i-1]
i=i-1
end
l[i]={from=f,to=t,text=t2}
end
function e.insert(l,b2,a,m)
local r=b(b2,s2(b2,a+1))==125 and""or","
e.replace(l,a+1,a+1,m..r)
end
function e.apply(l,b)
if not l[1]then
return nil
end
local p,a={},1
for i=1,#l do
p[2*i-1],p[2*i]=s(b,a,l[i].from-1),l[i].text
a=l[i].to
end
p[#p+1]=s(b,a)
return c(p)
end
return e
end)()
local maxtokens = (function()
local b,c,f,f2,m,s=
string.byte,math.ceil,math.floor,string.format,math.max,string.sub
local g,i,t=string.gsub,ipairs,tonumber
local m2={}
local A={
{
ends={"/chat/completions"},
fields={"max_completion_tokens","max_tokens"},
counts={"n"},
least=1,
},
{ends={"/completions"},fields={"max_tokens"},counts={"n","best_of"},least=1},
{ends={"/responses"},fields={"max_output_tokens"}},
{ends={"/messages","/v2/chat"},fields={"max_tokens"}},
{
ends={":generatecontent",":streamgeneratecontent"},
fields={"maxOutputTokens","max_output_tokens"},
holders={"generationConfig","generation_config"},
counts={"candidateCount","candidate_count"},
},
{ends={"/converse","/converse-stream"},fields={"maxTokens"},holders={"inferenceConfig"}},
{ends={"/api/chat","/api/generate"},fields={"num_predict"},holders={"options"},least=1},
{ends={"/embeddings","/embed",":embedcontent",":batchembedcontents","/rerank"}},
{
ends={
"/count_tokens",
":counttokens",
"/audio/speech",
"/audio/transcriptions",
"/audio/translations",
},
},
{
ends={""},
fields={"max_tokens","max_completion_tokens","max_output_tokens"},
counts={"n"},
keep=true,
},
}
local N={}
local N2={}
for _,r in i(A)do
r.counts=r.counts or N2
for _,l in i({r.fields or N2,r.holders or N2,r.counts})do
for _,n in i(l)do
N[n]=true
end
end
end
m2.names=N
local function r(e)
for _,r in i(A)do
for _,s2 in i(r.ends)do
if s(e,#e-#s2+1)==s2 then
return r
end
end
end
end
local function r2(b,s2,n)
local f=s2.from[n]
return f and s(b,f,s2.to[n]-1)
end
local function s(b,s,r,l)
for _,n in i(r.counts)do
local v=r2(b,s,n)
local c2=v and t((g(v,'"',"")))
l=c2 and c2==c2 and m(l,c(c2))or l
end
return l
end
local function f3(v,l,m)
local c=b(v)
local n=(c==45 or(c>47 and c<58))and t(v)
return n and n>=l and n<=m
end
local function h(l,b,a,s,r,m)
local t=r.keep
for _,n in i(r.fields)do
local v=r2(b,s,n)
if v and not f3(v,r.least or 0,m)then
edits.replace(l,s.from[n],s.to[n],f2("%d",m))
end
t=t or v
end
if not t then
edits.insert(l,b,a,f2('"%s":%d',r.fields[1],m))
end
end
local function h2(l,b2,s2,f3,r,m2)
local s3,i2,t=1,{},false
for i,n in i(r.holders)do
local f=f3.from[n]
t=t or f
i2[i]=json.spans()
if f and json.members(b2,f,N,i2[i])then
s3=s(b2,i2[i],r,s3)
end
end
m2=m(1,f(m2/s3))
local o=f2('{"%s":%d}',r.fields[1],m2)
for i,n in i(r.holders)do
local f=f3.from[n]
if f and b(b2,f)==123 then
h(l,b2,f,i2[i],r,m2)
elseif f then
edits.replace(l,f,f3.to[n],o)
end
end
if not t then
edits.insert(l,b2,s2,f2('"%s":%s',r.holders[1],o))
end
end
function m2.hold(l,b,s2,f2,e,m2)
local r=r(e)
if r.holders then
h2(l,b,s2,f2,r,m2)
elseif r.fields then
h(l,b,s2,f2,r,m(1,f(m2/s(b,f2,r,1))))
end
end
return m2
end)()
local request = (function()
local b,c,s=string.byte,math.ceil,string.sub
local m=json.members
local h,u=text.header_value,text.unescape
local M=256
local P={"messages","prompt","input","contents","documents","texts","query"}
local W=json.names("model","stream","stream_options")
for _,n in ipairs(P)do
W[n]=true
end
for n in pairs(maxtokens.names)do
W[n]=true
end
local I=json.names("include_usage")
local r={}
local function n(n)
n=n and h(n)
return n and#n<=M and n or"unknown"
end
local function m2(b2,f)
local f2=f.from.model
if not f2 or b(b2,f2)~=34 then
return"unknown"
end
local r=s(b2,f2+1,f.to.model-2)
return n(#r<=6*M and u(r))
end
local function v(b,f,n)
local f2=f.from[n]
return f2 and s(b,f2,f.to[n]-1)
end
local function w(l,b2,s,f)
if v(b2,f,"stream")~="true"or not(f.from.messages or f.from.prompt)then
return false
end
local f,t=f.from.stream_options,f.to.stream_options
if not f then
edits.replace(l,s+1,s+1,'"stream_options":{"include_usage":true},')
return true
elseif b(b2,f)==110 then
edits.replace(l,f,t,'{"include_usage":true}')
return true
end
local i=json.spans()
if not m(b2,f,I,i)then
return false
end
local a=v(b2,i,"include_usage")
if not a then
edits.insert(l,b2,f,'"include_usage":true')
elseif a=="false"or a=="null"then
edits.replace(l,i.from.include_usage,i.to.include_usage,"true")
else
return false
end
return true
end
local function e(b,f)
for i=1,#P do
local f2=f.from[P[i]]
if f2 then
return c((f.to[P[i]]-f2)/4)
end
end
return c(#b/4)
end
local function i(b,s,f,k)
local i=s and m2(b,f)
if k=="application/json"then
return i or"unknown"
end
local f=multipart.model(k,b)
if f==nil then
return i or"unknown"
end
f=n(f)
return(not i or i==f)and f or"unknown"
end
function r.unread(s,i)
return n(i),c(s/4)
end
function r.streams(e)
return s(e,-12)=="/completions"
end
function r.counts(e)
return s(e,-12)==":counttokens"or s(e,-22)=="/messages/count_tokens"
end
function r.read(b,e2,i2,k,f,m)
local f2=json.spans()
local s=json.document(b,W,f2)
local n=i2 and n(i2)or i(b,s,f2,k)
if not s then
return n,c(#b/4),nil,false
end
local l,f3=nil,false
if f and f2.from.stream and r.streams(e2)then
l={}
f3=w(l,b,s,f2)
end
if m then
l=l or{}
maxtokens.hold(l,b,s,f2,e2,m)
end
return n,e(b,f2),l and edits.apply(l,b),f3
end
return r
end)()
local limits = (function()
local f,g,m,m2=string.format,string.gmatch,string.match,math.max
local t,t2=tonumber,type
local N={"limit","remaining","reset"}
local l={}
local function i(n)
return f("%.0f",n)
end
local function l2(h,n)
local c=h:getNumValues(n)
if t2(c)~="number"or c<1 then
return nil
end
local v=h:getAtIndex(n,c-1)
return t2(v)=="string"and v or nil
end
local function n(v)
local d=v and m(v,"^%s*(%d+)")
return d and t(d)or nil
end
function l.take(h)
local p=l2(h,"x-ratelimit-limit")
local r,r2=l2(h,"x-ratelimit-remaining"),l2(h,"x-ratelimit-reset")
for i=1,#N do
h:remove("x-ratelimit-"..N[i])
end
local l=n(p)
if not l then
return nil
end
return{limit=l,policies=p,remaining=n(r),reset=n(r2)or 1}
end
local function b(o,o2,r)
if not o2 then
return true
elseif o.window~=o2.window then
if(o.window<r)~=(o2.window<r)then
return o.window>=r
end
return o.window<o2.window
end
return o.kind=="tokens"and o2.kind~="tokens"
end
function l.find(l,s)
local w,n,f={},false,nil
for l,w2 in g(s.policies,"(%d+);w=(%d+)")do
if t(l)==s.limit then
w[t(w2)],n=true,true
end
end
for i=1,#l do
local o=l[i]
if
o.reported==s.limit
and(w[o.window]or not n)
and b(o,f,s.reset)
then
f=o
end
end
return f
end
local function s(h,n,v)
h:remove(n)
h:add(n,v)
end
local function r(h,l,r,r2)
for i=1,#N do
h:remove("x-ratelimit-"..N[i].."-tokens")
h:remove("x-ratelimit-"..N[i].."-requests")
end
h:add("x-ratelimit-limit-"..l.kind,i(l.quantity))
h:add("x-ratelimit-remaining-"..l.kind,i(r))
h:add("x-ratelimit-reset-"..l.kind,i(r2))
end
function l.admit(h,l,s)
r(h,l,m2(0,(s.remaining or 0)+l.quantity-l.reported),s.reset)
end
function l.refused(h,s,s2)
return s==429
and s2~=nil
and s2.remaining==0
and not h:get("content-length")
and not h:get("content-type")
and not h:get("date")
end
function l.refuse(h,l,s2,m)
local w=m2(1,s2.reset)
local k,w2="tokens",""
if l then
r(h,l,0,s2.reset)
k=l.kind
w2=f(" on %s per %s: limit %s, used up",k,l.unit,i(l.quantity))
end
s(h,"retry-after",i(w))
s(h,"retry-after-ms",i(w*1000))
s(h,"content-type","application/json")
if w>60 then
s(h,"x-should-retry","false")
end
local m=f("Rate limit reached for %s%s. Please try again in %ss.",m,w2,i(w))
return f(
'{"error":{"message":%s,"type":"%s","param":null,"code":"rate_limit_exceeded"}}',
text.quote(m),
k
)
end
return l
end)()
local response = (function()
local f,l,m,t=string.find,string.lower,string.match,tonumber
local r={}
local function k(h)
local v=h:get("content-type")
return v and m(l(v),"^[^%s;,]*")or""
end
local function p(h)
local e=h:get("content-encoding")
return not e or l(e)=="identity"
end
local function r2(h,h2,k2)
local s={meter=meter.new(context.usage(h),k2)}
if not p(h2)then
return s
end
local k=k(h2)
s.sink=events.new(s.meter)
if k=="application/vnd.amazon.eventstream"then
s.messages=eventstream.new()
s.meter.streamed=true
return s
end
s.undecided=true
s.events=k=="text/event-stream"
s.meter.streamed=s.events
s.hold=s.events and k2.forced_usage==true
if s.hold then
h2:remove("content-length")
end
return s
end
local function d(s,b)
if f(b,"^[ \t\r\n\239\187\191]*[{%[]")then
s.document=document.new(s.sink)
s.meter.streamed=false
elseif f(b,s.events and"[^\r\n]"or"[^ \t\r\n\239\187\191]")then
s.stream=sse.new(s.hold)
else
return
end
s.undecided=false
end
function r.open(h)
local k=meter.get(h)
if k.usage_source==nil then
meter.default(h)
end
local h2=h:headers()
local s=t(h2:get(":status")or"")or 0
local s2=limits.take(h2)
if limits.refused(h2,s,s2)then
return{refusal=s2}
end
local l=s2 and s~=429 and limits.find(context.limits(h),s2)
if l then
limits.admit(h2,l,s2)
end
if s<200 or s>299 or k.unmetered then
return{}
end
local s=r2(h,h2,k)
s.meter:write(h)
return s
end
function r.refuse(h,s,b)
if b:length()>0 then
return
end
local m=meter.get(h).model or"unknown"
local l=limits.find(context.limits(h),s)
b:setBytes(limits.refuse(h:headers(),l,s,m))
end
function r.push(s,h,b)
local o
if s.undecided then
d(s,b)
end
s.meter.bytes=s.meter.bytes+#b
if s.stream then
o=sse.push(s.stream,b,s.sink)
elseif s.document then
document.push(s.document,b)
elseif s.messages and not eventstream.push(s.messages,b,s.sink)then
s.messages=nil
s.meter.streamed=false
end
s.meter:write(h)
return o~=b and o or nil
end
function r.close(s,h)
local o=s.stream and sse.finish(s.stream,s.sink)
s.meter:finish(h)
return o~=""and o or nil
end
return r
end)()
do
local g,l,s=string.gsub,string.lower,string.sub
local pairs,p,t,t2,t3=pairs,pcall,tonumber,tostring,type
local U={GET=true,HEAD=true,OPTIONS=true,CONNECT=true}
local function f(h,m)
p(h.logErr,h,"llmroute: "..s(t2(m),1,200))
p(function()
meter.set(h,"filter_error",(t(meter.get(h).filter_error)or 0)+1)
end)
end
local function g2(h,r,...)
local o,r=p(r,...)
if not o then
f(h,r)
return nil
end
return r
end
local function b(b)
local s=b:length()
return s>0 and b:getBytes(0,s)or""
end
local function s(b,c)
b:setBytes(c)
end
local function s2(h,n,v)
h:remove(n)
h:add(n,v)
end
local function s3(h,n,d)
local c=h:getNumValues(n)
local v
for i=0,c-1 do
v=v or text.header_value(h:getAtIndex(n,i)or"")
end
v=v or d
if c~=1 or h:getAtIndex(n,0)~=v then
s2(h,n,v)
end
end
local function s4(h)
local h2=h:headers()
for n,d in pairs(context.defaults(h))do
if t3(d)=="string"then
s3(h2,n,d)
end
end
h2:remove("accept-encoding")
end
local function p2(h)
local c=g(l(h:get("content-encoding")or""),"[ \t]+","")
return c==""or c=="identity"
end
local function o(h)
local s=t(h:headers():get("content-length")or"")
return s and s>context.body_limit(h)and s
end
local function r(h,b2,s)
local h2=h:headers()
local e,i=path.read(h2:get(":path")or"")
local m,e2,r,f
if request.counts(e)then
meter.set(h,"unestimated",true)
end
if s or not p2(h2)then
m,e2=request.unread(s or b2 and b2:length()or 0,i)
else
local f2=request.streams(e)and context.forces(h)
local k=h2:get("content-type")or""
local b=b2 and b(b2)or""
m,e2,r,f=
request.read(b,e,i,k,f2,context.max_tokens(h))
end
s2(h2,context.model_header(h),m)
meter.set(h,"model",m)
meter.set(h,"prompt_estimate",e2)
if r then
b2:setBytes(r)
if f then
meter.set(h,"forced_usage",true)
end
end
end
function envoy_on_request(h)
g2(h,meter.default,h)
local h2=g2(h,context.model_header,h)or"x-ai-gateway-llm-model-name"
g2(h,s2,h:headers(),h2,"unknown")
g2(h,s4,h)
if U[h:headers():get(":method")or""]then
g2(h,meter.set,h,"unmetered",true)
return
end
local s=g2(h,o,h)
local b=not s and h:body()or nil
g2(h,r,h,b,s)
end
local function s2(h,r)
local l,s2,b2
local n=h:bodyChunks()
local c=n()
while c do
l,s2=c,""
if not b2 then
local b=g2(h,b,c)or""
local o,o2=p(response.push,r,h,b)
if not o then
f(h,o2)
b2=true
o2=r.stream and r.stream.hold and sse.held(r.stream)..b or nil
end
s2=o2 or b
if o2 then
g2(h,s,c,o2)
end
end
c=n()
end
local r=not b2 and g2(h,response.close,r,h)
if r and l then
p(s,l,s2..r)
end
end
function envoy_on_response(h)
local r=g2(h,response.open,h)
if r and r.refusal then
local b=h:body(true)
g2(h,response.refuse,h,r.refusal,b)
elseif r and r.meter then
s2(h,r)
end
end
end
