-- The llmroute filter, made by tools/bundle_filter.py: its readable source is filters/lua/src of llmroute,
-- here without comments and with short names. Apache-2.0.
local I,E,L,A,N,next,pairs,P,B,R,F,O,G2,G,W,M2,S,C,T,T2,Y=ipairs,math.ceil,math.floor,math.max,math.min,next,pairs,pcall,string.byte,string.char,string.find,string.format,string.gmatch,string.gsub,string.lower,string.match,string.sub,table.concat,tonumber,tostring,type
local X={}do local _=X
local E={[34]='"',[47]="/",[92]="\\",[98]="\b",[102]="\f",[110]="\n",[114]="\r",[116]="\t",}local t=_ function t.e6(j)local a=F(j,"\\",1,true)while a do
local c=B(j,a+1)or 0
if c==117 then
if not F(j,"^%x%x%x%x",a+2)then
return false
end
elseif not E[c]then
return false
end
a=F(j,"\\",a+2,true)end
return true
end
local function u(c)if c<128 then
return R(c)elseif c<2048 then
return R(192+L(c/64),128+c%64)elseif c<65536 then
return R(224+L(c/4096),128+L(c/64)%64,128+c%64)end
return R(240+L(c/262144),128+L(c/4096)%64,128+L(c/64)%64,128+c%64)end
function t.u(r)local a=F(r,"\\",1,true)if not a then
return r
end
local p,n,f={},0,1
while a do
local c,w=B(r,a+1),2
local p2=E[c or 0]if c==117 then
local c=F(r,"^%x%x%x%x",a+2)and T(S(r,a+2,a+5),16)w=6
if c and c>=55296 and c<56320 and S(r,a+6,a+7)=="\\u"then
local l=T(S(r,a+8,a+11),16)or 0
c=l>=56320 and l<57344 and 65536+(c-55296)*1024+l-56320 or c
w=12
end
p2=c and not(c>=55296 and c<57344)and u(c)end
if not p2 then
return nil
end
p[n+1],p[n+2]=S(r,f,a-1),p2
n=n+2
f=a+w
a=F(r,"\\",f,true)end
p[n+1]=S(r,f)return C(p)end
function t.i4(v)local a=F(v,"[\128-\255]")while a do
local c,s=B(v,a,a+1)local l,h,w=128,191,2
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
local m=B(v,i)if not m or m<128 or m>191 then
return false
end
end
a=F(v,"[\128-\255]",a+w)end
return true
end
function t.h6(v)if v~=""and not F(v,"[^!-~]")then
return v
end
local i=M2(v,"^[ \t]*(.-)[ \t]*$")if not i or i==""or F(i,"%c")or not t.i4(i)then
return nil
end
return i
end
function t.q2(v)local e=G(v,'["\\]',"\\%0")return'"'..e..'"'end
end
local H={}do local _=H
local h=_ function h.set(h,n,v)h:remove(n)h:add(n,v)end
function h.settle(h2,n,d)local c=h2:getNumValues(n)local v
for i=0,c-1 do
v=v or X.h6(h2:getAtIndex(n,i)or"")end
v=v or d
if not v then
if c>0 then
h2:remove(n)end
elseif c~=1 or h2:getAtIndex(n,0)~=v then
h.set(h2,n,v)end
return v
end
function h.p8(h)local c=h:get("content-encoding")if not c then
return true
end
c=G(W(c),"[ \t]+","")return c==""or c=="identity"end
end
local E2={}do local _=E2
local q=X.q2
local K={refused={429,"tokens","rate_limit_exceeded","rate_limit_error","RESOURCE_EXHAUSTED"},unidentified={401,"invalid_request_error","invalid_api_key","authentication_error","UNAUTHENTICATED",},forbidden={403,"invalid_request_error","forbidden","permission_error","PERMISSION_DENIED"},no_model={404,"invalid_request_error","model_not_found","not_found_error","NOT_FOUND"},unavailable={503,"server_error","service_unavailable","api_error","UNAVAILABLE"},}local D={[401]="unidentified",[403]="forbidden"}local A={[500]=true,[503]=true}local S={}function S.openai(k,m,o)return O('{"error":{"message":%s,"type":"%s","param":null,"code":"%s"}}',m,o.type or k[2],k[3])end
function S.anthropic(k,m)return O('{"type":"error","error":{"type":"%s","message":%s}}',k[4],m)end
function S.gemini(k,m,o)local d=""if o.w4 then
d=O(',"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"%.0fs"}]',o.w4)end
return O('{"error":{"code":%d,"message":%s,"status":"%s"%s}}',o.s10 or k[1],m,k[5],d)end
function S.any(k,m)return O('{"type":"error","error":{"type":"%s","message":%s,"param":null,"code":"%s","status":"%s"}}',k[4],m,k[3],k[5])end
local e=_ function e.body(a,k,m,o)local s=S[a or"openai"]or S.openai
return s(K[k],q(m),o or{})end
function e.b3(h)return not h:get("content-length")and not h:get("content-type")and not h:get("date")end
function e.d5(h,s,a)if a or not D[s]then
return nil
end
local k=W(h:get("content-type")or"text/plain")return F(k,"text/plain",1,true)==1 and D[s]or nil
end
function e.a6(h,s,s2)return A[s]and not s2 and e.b3(h)and"unavailable"or nil
end
function e.d6(h,k,s)local w=M2(s,"^[ -~]+$")H.set(h,"content-type","application/json")return e.body("any",k,w or"The request was turned away.")end
function e.p12(h,a,s)H.set(h,"content-type","application/json")H.set(h,"retry-after","1")local m="The rate limit cannot be checked right now. Please try again in 1s."return e.body(a,"unavailable",m,{s10=s})end
end
local J={}do local _=J
local e,u=X.e6,X.u
local M=10000
local M2=27*6+2
local W={[116]="true",[102]="false",[110]="null",[78]="NaN",[73]="Infinity"}local j=_ local function s(b,a)local c=B(b,a)if c and c>32 then
return a
end
return F(b,"[^ \t\r\n]",a)or#b+1
end
j.s8=s
local function s2(b,a,o)local f=o and a+1 or a
local q=f-1
while true do
q=F(b,'"',q+1,true)local s=q or#b+1
local r=s-1
while r>=f and B(b,r)==92 do
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
j.s11=s2
local function s3(b,a)local c=B(b,a)local w=W[c or 0]if c==45 and B(b,a+1)==73 then
w="-Infinity"end
if w then
local s=a+#w
return S(b,a,s-1)==w and s or nil
end
local f=c==45 and a+1 or a
local _,s=F(b,"^%d+",f)if not s or(B(b,f)==48 and s>f)then
return nil
end
local _,f=F(b,"^%.%d+",s+1)s=f or s
local _,e=F(b,"^[eE][+-]?%d+",s+1)return(e or s)+1
end
j.s14=s3
local function m(b,a)if B(b,a)~=34 then
return nil
end
local s2=s2(b,a+1)if not s2 then
return nil
end
local c=s(b,s2)if B(b,c)~=58 then
return nil
end
return s(b,c+1),s2
end
j.m5=m
local function a(b,a,d,o)while d>0 do
a=s(b,a)local c=B(b,a)if c==44 then
a=s(b,a+1)if o[d]then
a=m(b,a)end
return a,d
elseif c~=(o[d]and 125 or 93)then
return nil
end
d=d-1
a=a+1
end
return a,0
end
local function v(b,a2)local d,o=0,nil
repeat
local c=B(b,a2)local o2=false
if c==34 then
a2=s2(b,a2+1)elseif c==123 or c==91 then
if d==M then
return nil
end
local o3=c==123
a2=s(b,a2+1)if B(b,a2)==(o3 and 125 or 93)then
a2=a2+1
else
o=o or{}d=d+1
o[d]=o3
o2=true
if o3 then
a2=m(b,a2)end
end
else
a2=s3(b,a2)end
if a2 and not o2 then
a2,d=a(b,a2,d,o)end
until not a2 or d==0
return a2
end
j.v2=v
function j.n3(...)local l={...}for i=1,#l do
l[l[i]]=true
end
return l
end
function j.s5()return{key={},f={},t={},c=0}end
function j.r(b,s,n)local f=s.f[n]return f and S(b,f,s.t[n]-1)end
function j.m3(b,a,w,s2)for i=1,s2.c do
s2.f[s2[i]]=nil
end
s2.c=0
if B(b,a)~=123 then
return nil
end
a=s(b,a+1)if B(b,a)==125 then
return a+1
end
while true do
local f,k=m(b,a)local t=f and v(b,f)if not t then
return nil
end
if k-a<=M2 then
local n=u(S(b,a+1,k-2))if n and w[n]then
if not s2.f[n]then
s2.c=s2.c+1
s2[s2.c]=n
end
s2.key[n],s2.f[n],s2.t[n]=a,f,t
end
end
a=s(b,t)local c=B(b,a)if c==125 then
return a+1
elseif c~=44 then
return nil
end
a=s(b,a+1)end
end
function j.d2(b,w,s2)local s3=s(b,S(b,1,3)=="\239\187\191"and 4 or 1)local s2=j.m3(b,s3,w,s2)if s2 and s(b,s2)>#b and e(b)then
return s3
end
return nil
end
end
local D3={}do local _=D3
local m,s,s2,s3=J.m5,J.s14,J.s8,J.s11
local u=X.u
local W={["true"]=true,["false"]=false}local d=_ local v
local function c(b,a)local o,o2,n=B(b,a)==123,{},0
local c=o and 125 or 93
a=s2(b,a+1)if B(b,a)==c then
return o2,a+1
end
while true do
local k=n+1
local o3
if o then
local f,s=m(b,a)if not f then
return nil
end
k,a=u(S(b,a+1,s-2))or"",f
end
o3,a=v(b,a)if not a then
return nil
end
o2[k],n=o3,n+1
a=s2(b,a)local c2=B(b,a)if c2==c then
return o2,a+1
elseif c2~=44 then
return nil
end
a=s2(b,a+1)end
end
function v(b,a)local c2=B(b,a)if c2==123 or c2==91 then
return c(b,a)elseif c2==34 then
local s=s3(b,a+1)return s and u(S(b,a+1,s-2)),s
end
local s=s(b,a)local r=s and S(b,a,s-1)if W[r]~=nil then
return W[r],s
end
return r and T(r),s
end
function d.o5(b)local s=s2(b,1)local o,s3=v(b,s)return B(b,s)==123 and s3 and s2(b,s3)>#b and o or nil
end
end
local U={}do local _=U
local n,s=J.n3,J.s5
local M=1000000000
local R={{prompt={"prompt_tokens"},completion={"completion_tokens"},t2="total_tokens",c3={"prompt_tokens_details.cached_tokens"},reasoning="completion_tokens_details.reasoning_tokens",},{prompt={"input_tokens","cache_creation_input_tokens","cache_read_input_tokens"},completion={"output_tokens"},t2="total_tokens",c3={"cache_read_input_tokens","input_tokens_details.cached_tokens"},c4="cache_creation_input_tokens",reasoning="output_tokens_details.reasoning_tokens",},{prompt={"promptTokenCount"},completion={"candidatesTokenCount","thoughtsTokenCount"},t2="totalTokenCount",c3={"cachedContentTokenCount"},reasoning="thoughtsTokenCount",},{prompt={"inputTokens","cacheReadInputTokens","cacheWriteInputTokens"},completion={"outputTokens"},t2="totalTokens",c3={"cacheReadInputTokens"},c4="cacheWriteInputTokens",},{prompt={"prompt_eval_count"},completion={"eval_count"},c3={},},}local F2,I={},{}local function f(p)local o,i=M2(p,"^([^.]+)%.?(.*)$")if i~=""then
I[o]={n3=n(i),path=p}end
F2[#F2+1]=o
F2[o]=true
end
local function f2(l)for i=1,#l do
f(l[i])end
end
for i=1,#R do
local r=R[i]f2(r.prompt)f2(r.completion)f2(r.c3)f2({r.reasoning})f2({r.t2})end
f2({"tokens","billed_units"})local u=_ local function c(v)return v<M and v or M
end
u.c8=c
local function b(r)if F(r,"[eE]%-")or not F(r,"^-?[0.]*[1-9]")then
return 0
end
return B(r)==45 and-1 or M
end
local function n(b2,f,n)local f2=f.f[n]if not f2 or not F(b2,"^%d",f2)and not F(b2,"^%-0",f2)then
return nil
end
local r=J.r(b2,f,n)local v=T(r)or b(r)if v<0 then
return nil
end
return E(c(v))+0
end
local function s2(f,l)local a
for i=1,#l do
local o=f[l[i]]a=o and(a or 0)+o or a
end
return a
end
local function r(f)for i=1,#R do
if s2(f,R[i].prompt)or s2(f,R[i].completion)then
return R[i]end
end
for i=1,#R do
if f[R[i].t2 or""]then
return R[i]end
end
return nil
end
local f,d=s(),s()local function f2(b,a)if not J.m3(b,a,F2,f)then
return nil
end
local f2={prompt_tokens=nil,completion_tokens=nil,total_tokens=nil}for i=1,f.c do
local n2=f[i]local i=I[n2]if not i then
f2[n2]=n(b,f,n2)elseif J.m3(b,f.f[n2],i.n3,d)then
f2[i.path]=n(b,d,i.n3[1])end
end
return r(f2)and f2
end
function u.f2(b,a,w)local f3=f2(b,a)if f3 and not w then
return f3
end
local t,b2=f.f.tokens,f.f.billed_units
return t and f2(b,t)or b2 and f2(b,b2)or nil
end
local function f(f,l)for i=1,#l do
if f[l[i]]then
return f[l[i]]end
end
return 0
end
function u.n5(f2)local r=r(f2)if not r then
return nil
end
local p=c(s2(f2,r.prompt)or 0)local c2=c(s2(f2,r.completion)or 0)return{prompt=p,completion=c2,t2=f2[r.t2 or""]or c(p+c2),c3=f(f2,r.c3),c4=f2[r.c4 or""]or 0,reasoning=f2[r.reasoning or""]or 0,}end
end
local C3={}do local _=C3
local c=U.c8
local c2=_ local function n(v,d)return Y(v)=="number"and v>=0 and v or d
end
function c2.n2(l)local a={}for i=1,#l do
local g=l[i]local s=A(1,n(g.scale,1))local p,c=n(g.prompt,s),n(g.completion,s)a[i]={key=g.key,scale=s,prompt=p,c3=n(g.cachedPrompt,p),c4=n(g.cacheWrite,p),completion=c,reasoning=n(g.reasoning,c),}end
return a
end
function c2.sum(w,n)local p,c2=n.prompt,n.completion
if p==0 and c2==0 then
p=n.t2
end
local c3=N(n.c3,p)local c4=N(n.c4,p-c3)local r=N(n.reasoning,c2)local s=(p-c3-c4)*w.prompt+c3*w.c3+c4*w.c4+(c2-r)*w.completion+r*w.reasoning
return c(E(s/w.scale))end
end
local D2={}do local _=D2
local s,u=J.s11,X.u
local M=4096
local M2=17*6
local M3=64
local M4,A='["{}%[%]]','["{}%[%],:]'local M5={[34]=true,[91]=true,[93]=true,[123]=true,[125]=true}local N2=4
local C={usage=true,usageMetadata=true,meta=true}local N3={response=true,message=true,delta=true}local S2={done=true,prompt_eval_count=true,eval_count=true}local d=_ function d.n2(s,e)return{s=s,e2=e,b=0,d=0,i=false,q=false,o3=false,key=false,name=nil,o2=nil,inner=nil,w=false,usage=nil,c6=0,s3=nil,v=nil,candidates=false,o=false,}end
local function k(s,b,f,t)if s.usage then
s.usage=#s.usage+t-f<M and s.usage..S(b,f,t)elseif s.s3 then
s.s3=#s.s3+t-f<M3 and s.s3..S(b,f,t)or nil
end
end
local function i(s2,b,a)local s,o=s(b,a,s2.o3)if s2.name then
local i=N((s or#b+2)-2,a+M2)s2.name=#s2.name<=M2 and s2.name..S(b,a,i)or s2.name
end
if not s then
s2.o3=o
return#b+1
end
s2.o3,s2.q=false,false
if s2.name then
local n=u(s2.name)if s2.w then
s2.inner=n
else
s2.o2=n
end
s2.name=nil
end
return s
end
local function r(s)local a=s.d-s.b
return s.i and(a==1 or a==2 and s.w)end
local function e(s)if s.s3 then
s.v=s.v or{}s.v[s.o2]=s.s3
s.s3=nil
end
end
local function o(s,o,a)local d=s.d+1
local a2=d-s.b
s.d=d
if d==1 and not o and not s.e2 then
s.b=1
elseif a2==1 then
s.i,s.key,s.o2,s.v,s.candidates=o,true,nil,nil,false
elseif not s.i or s.usage~=nil then
return nil
elseif a2==2 and o and C[s.o2 or 0]then
s.usage,s.c6="",d-1
return a
elseif a2==2 and o and s.e2 and N3[s.o2 or 0]then
s.w,s.key,s.inner=true,true,nil
elseif a2==3 and o and s.w and s.inner=="usage"then
s.usage,s.c6="",d-1
return a
elseif a2==3 and o and s.o2=="candidates"then
s.candidates=true
end
return nil
end
local function t(s)if s.usage and s.w then
s.s:e2(O('{"type":"","%s":{"usage":%s}}',s.o2,s.usage))elseif s.usage then
s.s:usage(s.o2,s.usage)end
s.usage=nil
end
local function t2(s)e(s)local v=not s.e2 and s.v
if v and(v.done or v.prompt_eval_count)then
local c=v.done and""or',"done":true'for n,v in pairs(v)do
c=c..O(',"%s":%s',n,v)end
s.s:e2("{"..S(c,2).."}")elseif s.b==1 and s.candidates then
s.s:e2('{"candidates":[0]}')end
s.i,s.v=false,nil
end
local function c(s,b,f,a)s.d=s.d-1
local a2=s.d-s.b
if s.usage~=nil and s.d==s.c6 then
k(s,b,f,a)t(s)end
if a2==1 then
s.w=false
elseif a2==0 and s.i then
k(s,b,f,a-1)t2(s)end
s.o=a2<0 or s.e2 and a2==0
end
local function s(s,b,c2,f,a)if c2==34 then
s.q=true
if s.key and s.usage==nil and r(s)then
s.name=""end
elseif c2==123 or c2==91 then
return o(s,c2==123,a)or f
elseif c2==125 or c2==93 then
c(s,b,f,a)elseif c2==58 then
s.key=false
if not s.w and S2[s.o2 or 0]then
s.s3=""return a+1
end
else
k(s,b,f,a-1)e(s)s.key=true
end
return f
end
local function n(b,a,a2)for i=a,a+N2-1 do
local c=B(b,i)if M5[c or 34]or a2 and(c==58 or c==44)then
return c and i,c
end
end
a=F(b,a2 and A or M4,a+N2)return a,a and B(b,a)end
function d.p(s2,b)local a,s3,f=1,#b,1
while a<=s3 and not s2.o do
if s2.q then
a=i(s2,b,a)elseif s2.d==0 then
a=F(b,"[^ \t\r\n\239\187\191]",a)if not a then
break
end
local c=B(b,a)s2.o=c~=123 and c~=91
f=s(s2,b,c,f,a)a=a+1
else
local c
a,c=n(b,a,s2.usage==nil and r(s2))if not a then
break
end
f=s(s2,b,c,f,a)a=a+1
end
end
k(s2,b,f,s3)end
end
local V={}do local _=V
local E=6
local o=_ function o.n2(s)return{s=s,h="",data=false,}end
function o.value(l,s)if S(l,s,s+3)~="data"then
return nil
end
local c=B(l,s+4)if c==58 then
return B(l,s+5)==32 and s+6 or s+5
end
return not c and s+4 or nil
end
function o.p(s,p)if s.h then
p=s.h..p
s.h=#p<E and p or nil
local v=not s.h and o.value(p,1)s.data=v~=nil and v~=false
p=v and"\n"..S(p,v)end
if s.data then
s.s:p5(p)end
end
function o.l2(s,p)o.p(s,p)local h=s.h
local v=h and o.value(h,1)if v then
s.s:p5("\n"..S(h,v))end
s.h,s.data="",false
return h==""end
end
local S3={}do local _=S3
local M=24576
local L=32
local M2=64
local s=_ function s.n2(h)return{h2=h,first=true,cr=nil,p2={},c=0,s2=0,o=nil,data=nil,m2=nil,r={},l2=0,value=0,b4={},l6=0,b5={},p7=0,}end
local function f(s)s.s2,s.o,s.data,s.m2,s.l2=0,nil,nil,nil,0
if#s.r>0 then
s.r={}end
end
local function e(o,b,e)if o then
o[#o+1]=b
o[#o+1]=e
end
end
local function e2(o,l,f,l2)if o then
for i=f,l2 do
o[#o+1]=l[i]end
end
end
local function g(s,s2,o)e2(o,s.r,1,#s.r)e2(o,s.p2,1,s.c)if s.data then
s2:p5(s.m2 and s.data.."\n"..C(s.m2,"\n")or s.data)end
local l=C(s.p2,"",1,s.c)s.o=V.n2(s2)V.p(s.o,s.first and S(l,1,3)=="\239\187\191"and S(l,4)or l)s.r,s.p2,s.c,s.data,s.m2,s.first={},{},0,nil,nil,false
end
local function d(s,s2,o)if s.o then
s2:l9()elseif s.data then
local d=s.m2 and s.data.."\n"..C(s.m2,"\n")or s.data
local f2,t=s2:e2(d)if s.h2 and f2==false then
f(s)return false
elseif s.h2 and f2 and s.l2>0 then
local l,s2=s.r[s.l2],s.value-1
e2(o,s.r,1,s.l2-1)e(o,S(l,1,s2+f2-1),S(l,s2+t+1))e2(o,s.r,s.l2+1,#s.r)f(s)return true
end
end
e2(o,s.r,1,#s.r)f(s)return true
end
local function f(s,o,l,e2,s2)local i=s.s2==0
if i and B(l,s2)==58 then
e(o,l,e2)return
end
s.s2=s.s2+#l+L
local v=V.value(l,s2)if v and s.data then
s.m2,s.l2=s.m2 or{},0
s.m2[#s.m2+1]=S(l,v)elseif v then
s.data,s.l2,s.value=S(l,v),#s.r+1,v
end
if s.h2 then
e(s.r,l,e2)end
end
local function t(s,s2,o,t,e2)local s3=1
if s.o then
e(o,t,e2)return not V.l2(s.o,t)or d(s,s2,o)end
local l=t
if s.c>0 then
s.p2[s.c+1]=t
l=C(s.p2,"",1,s.c+1)s.s2,s.p2,s.c=s.s2-(#l-#t),{},0
end
if s.first then
s.first=false
s3=S(l,1,3)=="\239\187\191"and 4 or 1
end
if s.s2+#l>M then
g(s,s2,o)e(o,l,e2)V.l2(s.o,S(l,s3))return true
elseif#l>=s3 then
f(s,o,l,e2,s3)return true
end
if s.h2 then
e(s.r,l,e2)end
return d(s,s2,o)end
local function b(s,s2,o,p)if s.o then
e(o,p)V.p(s.o,p)return
end
s.c=s.c+1
s.p2[s.c]=p
s.s2=s.s2+#p
if s.c==M2 then
s.p2,s.c={C(s.p2,"",1,M2)},1
end
if s.s2>M then
g(s,s2,o)end
end
local function l(s,o)if s.cr=="kept"and#s.r>0 then
s.r[#s.r+1]="\n"elseif s.cr=="kept"then
e(o,"\n")end
end
function s.p(s,b2,s2)local o=s.h2 and{}or nil
local a,s3=1,#b2
s.b4,s.l6=s.r,#s.r
s.b5,s.p7=s.p2,s.c
if s.cr and s3>0 then
if B(b2,1)==10 then
l(s,o)a=2
end
s.cr=nil
end
local c,l=F(b2,"\r",a,true),F(b2,"\n",a,true)while a<=s3 do
local s4=c and l and(c<l and c or l)or c or l
if not s4 then
b(s,s2,o,S(b2,a))break
end
local l2=s4==c and l==s4+1 and l or s4
local k=t(s,s2,o,S(b2,a,s4-1),S(b2,s4,l2))if s4==s3 and s4==c then
s.cr=k and"kept"or"cut"end
a=l2+1
if c and c<a then
c=F(b2,"\r",a,true)end
if l and l<a then
l=F(b2,"\n",a,true)end
end
return o and C(o)end
function s.f3(s,s2)local o=s.h2 and{}or nil
if s.c>0 then
t(s,s2,o,"","")end
d(s,s2,o)return o and C(o)end
function s.held(s)return C(s.b4,"",1,s.l6)..C(s.b5,"",1,s.p7)end
end
local E4={}do local _=E4
local M=8192
local P,C=12,4
local M2=16777216+131072+P+C
local e=_ function e.n2()return{h="",s4=0,l=nil,p3="",o=false,}end
local function l(h,a)local a,b,c,d=B(h,a,a+3)return((a*256+b)*256+c)*256+d
end
local function p(s)local t,h=l(s.h,1),l(s.h,5)s.h=""s.l=t-h-P-C
s.s4=h
s.p3=s.l<=M and""s.o=s.l<0 or t>M2
end
local function f(s,s2)if s.p3 then
s2:e2(s.p3)else
s2.m:delta()end
s.l,s.s4=nil,C
end
function e.p(s,b,s2)local a,s3=1,#b
while a<=s3 and not s.o do
if s.s4>0 then
local s2=s.s4<s3-a+1 and s.s4 or s3-a+1
s.s4,a=s.s4-s2,a+s2
elseif not s.l then
local m=P-#s.h
s.h=s.h..S(b,a,a+m-1)a=a+m
if#s.h==P then
p(s)end
else
local s2=s.l<s3-a+1 and s.l or s3-a+1
s.p3=s.p3 and s.p3..S(b,a,a+s2-1)s.l,a=s.l-s2,a+s2
end
if s.l==0 and s.s4==0 and not s.o then
f(s,s2)end
end
return not s.o
end
end
local M={}do local _=M
local c=U.c8
local N="llmroute"local m=_ local function m2(h)return h:streamInfo():dynamicMetadata()end
function m.set(h,k,v)m2(h):set(N,k,v)end
function m.get(h)local k=m2(h):get(N)return type(k)=="table"and k or{}end
function m.default(h)local o=m2(h)o:set(N,"total_tokens",0)o:set(N,"prompt_tokens",0)o:set(N,"completion_tokens",0)o:set(N,"cached_tokens",0)o:set(N,"cache_write_tokens",0)o:set(N,"reasoning_tokens",0)o:set(N,"no_cost",0)o:set(N,"usage_source","none")o:set(N,"model","unknown")o:set(N,"api","openai")end
function m.n6(h,l)local o=m2(h)for i=1,#l do
o:set(N,l[i].key,0)end
end
function m.a5(h,m,e)local o=m2(h)o:set(N,"model",m)o:set(N,"prompt_estimate",e)end
local function d(s)s.d3=s.d3+1
s.s6=true
end
local function w(s,b)s.w2=s.w2+E(b/4)end
local function b(s,f)s.h3=s.h3+1
s.f2=f
s.b=U.n5(f)end
local function r(s,f)s.h3=s.h3+1
local k=s.f2
if k then
for n,v in pairs(f)do
k[n]=v
end
f=k
end
s.reported=U.n5(f)end
local function e(s)local b=s.b
local s2=s.s6 and s.d3+s.w2 or E(s.b2/4)local p=b and b.prompt or s.prompt
local c2=c(b and A(b.completion,s2)or s2)return{prompt=p,completion=c2,t2=c(p+c2),c3=b and b.c3 or 0,c4=b and b.c4 or 0,reasoning=b and b.reasoning or 0,s12="estimated",}end
local function f(t,s)return{prompt=t,completion=t,t2=t,c13=t,c3=0,c4=0,reasoning=0,s12=s,}end
local function p(s,o,k,v)if s.w3[k]~=v then
o:set(N,k,v)s.w3[k]=v
end
end
local function o(s,o,l)for i=1,#l do
local l=l[i]local r=(s.w3[l.key]or 0)-(tonumber(s.k[l.paid])or 0)if l.due then
p(s,o,l.due,A(0,r))end
if l.refund then
p(s,o,l.refund,A(0,-r))end
end
end
local function p2(s,h,n)local o2=m2(h)p(s,o2,"cached_tokens",n.c3)p(s,o2,"cache_write_tokens",n.c4)p(s,o2,"reasoning_tokens",n.reasoning)p(s,o2,"prompt_tokens",n.prompt)p(s,o2,"completion_tokens",n.completion)p(s,o2,"total_tokens",n.t2)p(s,o2,"usage_source",n.s12 or"reported")for i=1,#s.costs do
local w=s.costs[i]p(s,o2,w.key,n.c13 or C3.sum(w,n))end
o(s,o2,s.holds)o(s,o2,s.d4)end
local function w2(s,h)if s.p9.onDisconnect=="Free"or(s.reported and s.reported==s.l4)then
return
end
s.l4=s.reported
if s.reported then
p2(s,h,s.reported)elseif not s.unestimated then
p2(s,h,e(s))end
end
local function f2(s,h)local p,n=s.p9,s.reported
if n and n==s.l4 then
return
elseif not n then
if s.unestimated or p.onMissing=="Free"then
n=f(0,"none")elseif p.onMissing=="Fixed"then
n=f(p.fixedTokens,"fixed")else
n=e(s)end
end
p2(s,h,n)end
function m.n2(r2,k)return{p9=r2.usage,costs=r2.costs,k=k,holds=r2.holds,d4=r2.d4,prompt=tonumber(k.prompt_estimate)or 0,unestimated=k.unestimated,s6=false,d3=0,w2=0,b2=0,h3=0,e3=false,f2=nil,b=nil,reported=nil,l4=nil,w3={cached_tokens=0,cache_write_tokens=0,reasoning_tokens=0,prompt_tokens=0,completion_tokens=0,total_tokens=0,usage_source="none",},delta=d,w6=w,b8=b,r5=r,w5=w2,f3=f2,}end
end
local F2={}do local _=F2
local f=_ function f.n4(h,m)P(h.logErr,h,"llmroute: "..S(T2(m),1,200))P(function()M.set(h,"filter_error",(T(M.get(h).filter_error)or 0)+1)end)end
function f.g(h,r,...)local o,r=P(r,...)if not o then
f.n4(h,r)return nil
end
return r
end
function f.a4(h,b,c)local o,h2,b=P(function()return h:httpCall(b(c))end)if not o then
f.n4(h,h2)return nil
end
return h2,b
end
end
local E3={}do local _=E3
local s=J.s11
local M=8
local M2=1024
local e=_ function e.n2()return{l3=nil,h=nil,t3=nil,t4=0,}end
function e.s13(s,d)local h=s.h
if not h or S(d,1,#h)~=h then
return nil
end
local q=F(d,'"',#h+1,true)if not q or S(d,q)~=s.t3 then
return nil
end
local e=F(d,"\\",#h+1,true)if e and e<q then
return nil
end
s.t4=0
return q-#h-1
end
local function d(o,o2)if o==o2 then
return nil
end
local s,d=0,#o<#o2 and#o+1 or#o2+1
while d-s>1 do
local m=s+(d-s-(d-s)%2)/2
if S(o,1,m)==S(o2,1,m)then
s=m
else
d=m
end
end
return d
end
function e.l8(s2,d2,f,t)local l=s2.l3
s2.l3,s2.h=nil,nil
if s2.t4==M or#d2>M2 then
return nil
end
s2.l3,s2.t4=d2,s2.t4+1
local a=l and d(l,d2)if not a or a<=f or a>=t then
return nil
end
local o=F(d2,'"',f,true)while o and o<a do
local s=s(d2,o+1)if a<s then
s2.h,s2.t3,s2.l3=S(d2,1,o),S(d2,s-1),nil
return s-o-2
end
o=F(d2,'"',s,true)end
return nil
end
end
local E5={}do local _=E5
local m,s=J.m3,J.s8
local e,f=X.e6,U.f2
local W=J.n3("message","response","choices","candidates","type","delta","done","usage","usageMetadata","meta","error","role","start","stopReason","contentBlockIndex")local U=J.n3("usage")local F2,I=J.s5(),J.s5()local L={['"message_stop"']=true,['"message-end"']=true,['"response.completed"']=true,['"response.incomplete"']=true,['"response.failed"']=true,}local function m2(d,f)local f,t=f.key.usage,f.t.usage-1
local b=f-1
while F(d,"^[ \t\r\n]",b)do
b=b-1
end
if B(d,b)==44 then
return b,t
end
local a=s(d,t+1)if B(d,a)==44 then
t=s(d,a+1)-1
end
return f,t
end
local function l(d,a)if not a or B(d,a)~=91 then
return false,false
end
return true,B(d,s(d,a+1))==93
end
local function h(d,f)local a,k=f.f.delta,f.f.type
local c=a and B(d,a)if c~=34 and c~=123 then
return false
elseif not k or B(d,k)~=34 then
return true
end
local n=S(d,k+1,f.t.type-2)return F(n,"delta$")~=nil and n~="message_delta"end
local function i(d,f)local f2=f.f
local i,e=l(d,f2.choices or f2.candidates)if i then
return not e
end
return h(d,f)or f2.done~=nil and B(d,f2.done)==102
end
local function n(d,n)local a=F2.f[n]if not a or B(d,a)~=123 then
return nil
end
local f2=m(d,a,U,I)and I.f.usage
return f2 and f(d,f2)end
local function r(s2,d,d2)local f2,m=F2.f,s2.m
local a=f2.usage or f2.usageMetadata
local f3=a and f(d,a)if not f3 and f2.type and f2.message then
local b=n(d,"message")if b then
m:b8(b)return
end
end
f3=f3
or n(d,"response")or(f2.delta and not d2 and n(d,"delta"))or(f2.meta and f(d,f2.meta,true))or(f2.done and B(d,f2.done)==116 and f(d,s(d,1)))if f3 then
m:r5(f3)end
end
local function i2(d,f)local k,d2=f.f.type,f.f.done
return k and L[S(d,k,f.t.type-1)]or d2 and B(d,d2)==116 or false
end
local function u(d,f)local a=f.f.usage
if a and B(d,a)==110 then
return m2(d,f)elseif a and B(d,a)==123 then
local i,e=l(d,f.f.choices)if i and e then
return false
end
end
return nil
end
local function l(s,d,f,t)local f2=F2
local n=f2.f.choices and"choices"or f2.f.candidates and"candidates"or"delta"local s2=f2.f[n]and E3.l8(s.e5,d,f2.f[n],f2.t[n])if s2 then
s.s2,s.f,s.t=s2,f,t
s.a2=f and f>#s.e5.h
end
end
local function e2(s2,d)local s3=E3.s13(s2.e5,d)if s3 then
s2.m:delta()local s=s2.a2 and s3-s2.s2 or 0
return s2.f and s2.f+s,s2.f and s2.t+s
end
local f,h=F2,s2.m.h3
local s=B(d,s(d,1))==123 and J.d2(d,W,f)if not s then
s2.m.e3=s2.m.e3 or F(d,"^[ \t]*%[DONE%]")~=nil
return nil
elseif f.c==(f.f.message and 1 or 0)+(f.f.response and 1 or 0)then
s2.m:w6(#d)return nil
end
local d2=i(d,f)if d2 then
s2.m:delta()end
r(s2,d,d2)s2.m.e3=s2.m.e3 or i2(d,f)local f,t=u(d,f)if d2 and h==s2.m.h3 and f~=false then
l(s2,d,f,t)end
return f,t
end
local function u(s,n,d)local f=e(d)and f(d,1,n=="meta")if f then
s.m:r5(f)end
end
local function p(s,p)if not s.p4 then
s.p4,s.h3=D2.n2(s,true),s.m.h3
end
D2.p(s.p4,p)end
local function l(s)if s.p4 and s.m.h3==s.h3 then
s.m:delta()end
s.p4=nil
end
local e=_ function e.n2(m)return{m=m,e5=E3.n2(),s2=0,f=nil,t=nil,a2=false,p4=nil,h3=0,e2=e2,usage=u,p5=p,l9=l,}end
end
local C2={}do local _=C2
local M="x-ai-gateway-llm-model-name"local B=4194304
local N={}local M2=1024
local c=_ local function l(v)return Y(v)=="table"and v or N
end
local function w(g,n)if Y(g)~="table"then
return N
end
local o={}for i=1,#g do
local o2=g[i]if Y(o2)=="table"and Y(o2[n])=="string"then
o[#o+1]=o2
end
end
return o
end
local function w2(v)return Y(v)=="string"and v~=""and v or nil
end
local function c2(a,n)local r=a[n]return Y(r)=="table"and Y(r.limits)=="table"and r or nil
end
local function u(g)local f=g.fixedTokens
return{onMissing=g.onMissing or"Estimate",fixedTokens=Y(f)=="number"and f>=0 and L(f)or 0,onDisconnect=g.onDisconnect or"Charge",}end
local function r(a)local l2,m,u2=a.bodyLimit,a.maxTokens,l(a.usage)local s,p=c2(a,"settle"),c2(a,"prepay")local o=s or p
return{m4=w2(a.modelHeader)or M,defaults=l(a.defaults),metadata=w(a.metadata,"header"),identity=w2(a.identity),b7=w2(a.backendHeader),backends=w(a.backends,"name"),limits=l(a.limits),usage=u(u2),f4=u2.includeUsage~="Keep",costs=C3.n2(w(a.costs,"key")),holds=w(a.holds,"paid"),max_tokens=Y(m)=="number"and m>=1 and L(m)or nil,b9=Y(l2)=="number"and l2>=0 and l2 or B,settle=s,prepay=p,d4=o and o.limits or N,}end
local k,c2={},0
function c.of(h)local a=h:filterContext()local s=a and w2(a:get("route"))or""local r2=k[s]if not r2 then
if c2==M2 then
k,c2={},0
end
r2=r(D3.o5(s)or N)k[s],c2=r2,c2+1
end
return r2
end
function c.none()return r(N)end
end
local P3={}do local _=P3
local p=_ local M={"^.*/openai/deployments/()[^/]+()/","^.*/models/()[^/]+():%a+$","^.*/tunedmodels/()[^/]+():%a+$","^.*/model/()[^/]+()/[^/]+$",}local R2={["/v1/chat/completions"]=true,["/v1/completions"]=true,["/v1/embeddings"]=true,["/v1/messages"]=true,["/v1/responses"]=true,}local S2={["/"]="\1",["\1"]="\2"}local function d(h)local c=R(T(h,16))return S2[c]or c
end
local function m(w,s)if not F(s,"odel",1,true)and not F(s,"/deployments/",1,true)then
return nil
end
local f,t=0,nil
for _,p in I(M)do
local _,_,f2,s=F(s,p)if f2 and f2>f then
f,t=f2,s
end
end
return t and S(w,f,t-1)end
function p.r3(r)if R2[r]then
return r,nil
end
local w=r
if F(r,"[?#%%A-Z]")or F(r,"//",1,true)then
w=G(r,"[?#].*$","")w=G(w,"%%(%x%x)",d)w=G(w,"//+","/")end
local l=B(w,#w)if l==47 or l==1 then
w=S(w,1,-2)end
local s=W(w)local n=m(w,s)if F(w,"\1",1,true)then
w,s=G(w,"\1","/"),G(s,"\1","/")n=n and G(n,"\1","/")or m(w,s)end
return s,n
end
end
local M3={}do local _=M3
local M,M2=4096,70
local K='^[ \t]*;[ \t]*([^%s;="]+)[ \t]*=[ \t]*'local Q,T=K..'"([^"\\]*)"',K..'([^%s;,"]*)'local P={["7bit"]=true,["8bit"]=true,binary=true}local m=_ local function p(l,n)local f
local a=F(l,";",1,true)or#l+1
while F(l,"[^ \t;]",a)do
local _,s,k,v=F(l,Q,a)if not s then
_,s,k,v=F(l,T,a)end
k=s and W(k)if not s or(k==n and f)or S(k,1,#n+1)==n.."*"then
return false
end
f=k==n and v or f
a=s+1
end
return f
end
local function i(h)local i,p2=false,true
for l in G2(G(h,"\r?\n[ \t]+"," "),"[^\r\n]+")do
local _,_,k,c=F(l,"^([^:%s]+)[ \t]*:[ \t]*([^ \t]*)")k=k and W(k)if k=="content-disposition"then
local n=p(l,"name")if n==false then
return nil
end
i=i or n=="model"elseif k=="content-transfer-encoding"then
p2=p2 and P[W(c)]end
end
if i and not p2 then
return nil
end
return i
end
local function d(b,m,a)local f,l=0,#m-1
if a>1 or S(b,1,l)~=S(m,2)then
f,l=F(b,m,a,true)end
while f do
local _,s=F(b,"^[ \t]*\r?\n",l+1)if s or F(b,"^%-%-[ \t]*\r?\n",l+1)or F(b,"^%-%-[ \t]*$",l+1)then
return f,s
end
f,l=F(b,m,l+1,true)end
return nil
end
local function b(k)if not F(W(k),"multipart/form-data",1,true)then
return nil
end
local b=p(k,"boundary")return b and b~=""and#b<=M2 and b
end
local function f(b,f,t)local h=S(b,f,N(f+M,t and t-1 or#b))if F(h,"^\r?\n")then
return nil
end
local s,b2=F(h,"\r?\n\r?\n")local i=s and i(S(h,1,s-1))if i==false then
return nil
end
if not i or not t then
return false
end
return S(b,f+b2,B(b,t-1)==13 and t-2 or t-1)end
function m.model(k,b2)local b=b(k)if not b then
return b
end
local m="\n--"..b
local m2
local _,a=d(b2,m,1)while a do
local t,n=d(b2,m,a)local v=f(b2,a+1,t)if v==false or(v and m2 and v~=m2)then
return false
end
m2=v or m2
a=n
end
return m2
end
end
local D={}do local _=D
local s=J.s8
local e=_ function e.replace(l,f,t,t2)local i=#l+1
while i>1 and l[i-1].f>f do
l[i]=l[i-1]i=i-1
end
l[i]={f=f,t=t,t8=t2}end
function e.i2(l,b,a,m)local r=B(b,s(b,a+1))==125 and""or","e.replace(l,a+1,a+1,m..r)end
function e.a3(l,b)if not l[1]then
return nil
end
local p,a={},1
for i=1,#l do
p[2*i-1],p[2*i]=S(b,a,l[i].f-1),l[i].t8
a=l[i].t
end
p[#p+1]=S(b,a)return C(p)end
end
local H2={}do local _=H2
local c=U.c8
local h=_ function h.set(h,l,p,a)for i=1,#l do
local l=l[i]local s=p*l.prompt+c(a)*l.completion
local h2=A(1,c(E(s/l.scale)))M.set(h,l.paid,h2)M.set(h,l.refund,h2)M.set(h,l.due,0)end
end
end
local K={}do local _=K
local r,s,v=J.r,J.s8,J.v2
local m=_ local A2={{e={"/chat/completions"},f2={"max_completion_tokens","max_tokens"},c5={"n"},l5=1,},{e={"/completions"},f2={"max_tokens"},c5={"n","best_of"},l5=1,batch=true,},{e={"/responses"},f2={"max_output_tokens"}},{e={"/messages","/v2/chat"},f2={"max_tokens"}},{e={":generatecontent",":streamgeneratecontent"},f2={"maxOutputTokens","max_output_tokens"},h4={"generationConfig","generation_config"},c5={"candidateCount","candidate_count"},},{e={"/converse","/converse-stream"},f2={"maxTokens"},h4={"inferenceConfig"}},{e={"/api/chat","/api/generate"},f2={"num_predict"},h4={"options"},l5=1},{e={"/embeddings","/embed",":embedcontent",":batchembedcontents","/rerank"},mute=true},{e={"/count_tokens",":counttokens"},mute=true},{e={"/audio/speech","/audio/transcriptions","/audio/translations"}},{e={""},f2={"max_tokens","max_completion_tokens","max_output_tokens"},c5={"n"},keep=true,batch=true,},}local N={}local N2={}for _,r in I(A2)do
r.c5=r.c5 or N2
for _,l in I({r.f2 or N2,r.h4 or N2,r.c5})do
for _,n in I(l)do
N[n]=true
end
end
end
m.n3=N
local function r2(e)for _,r in I(A2)do
for _,s in I(r.e)do
if S(e,#e-#s+1)==s then
return r
end
end
end
end
local function s2(b,s,r2,l)for _,n in I(r2.c5)do
local v=r(b,s,n)local c=v and T((G(v,'"',"")))l=c and c==c and A(l,E(c))or l
end
return l
end
local function p(b,a)local c=0
if a and B(b,a)==91 then
repeat
a=s(b,a+1)local c2=B(b,a)if c2==34 or c2==91 or c2==123 then
c=c+1
end
a=v(b,a)a=a and s(b,a)until not a or B(b,a)~=44
end
return A(1,c)end
local function f(v,l,m)local c=B(v)local n=(c==45 or(c>47 and c<58))and T(v)return n and n>=l and n<=m
end
local function h(l,b,a,s,r2,m)local t,l2=r2.keep,0
for _,n in I(r2.f2)do
local v=r(b,s,n)if v and not f(v,r2.l5 or 0,m)then
D.replace(l,s.f[n],s.t[n],O("%d",m))l2=m
elseif v then
l2=A(l2,T(v))end
t=t or v
end
if not t then
D.i2(l,b,a,O('"%s":%d',r2.f2[1],m))end
return(r2.keep or l2<1)and m or l2
end
local function h2(l,b,s,f,r,m)local s3,i,t=1,{},false
for i2,n in I(r.h4)do
local f=f.f[n]t=t or f
i[i2]=J.s5()if f and J.m3(b,f,N,i[i2])then
s3=s2(b,i[i2],r,s3)end
end
m=A(1,L(m/s3))local l2=0
local o=O('{"%s":%d}',r.f2[1],m)for i2,n in I(r.h4)do
local f2=f.f[n]if f2 and B(b,f2)==123 then
l2=A(l2,h(l,b,f2,i[i2],r,m))elseif f2 then
D.replace(l,f2,f.t[n],o)l2=m
end
end
if not t then
D.i2(l,b,s,O('"%s":%s',r.h4[1],o))l2=m
end
return s3*l2
end
function m.h2(l,b,s,f,e,m)local r=r2(e)if r.h4 then
return h2(l,b,s,f,r,m)elseif r.f2 then
local s2=s2(b,f,r,1)*(r.batch and p(b,f.f.prompt)or 1)return s2*h(l,b,s,f,r,A(1,L(m/s2)))end
return r.mute and 0 or m
end
end
local Q={}do local _=Q
local m,r=J.m3,J.r
local h,u=X.h6,X.u
local M=256
local P={"messages","prompt","input","contents","documents","texts","query"}local W=J.n3("model","stream","stream_options")for _,n in ipairs(P)do
W[n]=true
end
for n in pairs(K.n3)do
W[n]=true
end
local I=J.n3("include_usage")local F2=J.s5()local r2=_ local function n(n)n=n and h(n)return n and#n<=M and n or"unknown"end
local function m2(b,f)local f2=f.f.model
if not f2 or B(b,f2)~=34 then
return"unknown"end
local i=S(b,f2+1,f.t.model-2)return n(#i<=6*M and u(i))end
local function w(l,b,s,f)if r(b,f,"stream")~="true"or not(f.f.messages or f.f.prompt)then
return false
end
local f,t=f.f.stream_options,f.t.stream_options
if not f then
D.replace(l,s+1,s+1,'"stream_options":{"include_usage":true},')return true
elseif B(b,f)==110 then
D.replace(l,f,t,'{"include_usage":true}')return true
end
local i=J.s5()if not m(b,f,I,i)then
return false
end
local a=r(b,i,"include_usage")if not a then
D.i2(l,b,f,'"include_usage":true')elseif a=="false"or a=="null"then
D.replace(l,i.f.include_usage,i.t.include_usage,"true")else
return false
end
return true
end
local function e(b,f)for i=1,#P do
local f2=f.f[P[i]]if f2 then
return E((f.t[P[i]]-f2)/4)end
end
return E(#b/4)end
local function i(b,s,f,k)local i=s and m2(b,f)if k=="application/json"then
return i or"unknown"end
local f=M3.model(k,b)if f==nil then
return i or"unknown"end
f=n(f)return(not i or i==f)and f or"unknown"end
function r2.u3(s,i)return n(i),E(s/4)end
function r2.s15(e)return S(e,-12)=="/completions"end
function r2.api(e)if F(e,":%a+$")and F(e,"models/",1,true)then
return"gemini"elseif F(e,"/messages$")or F(e,"/messages/[%a_]+$")then
return(F(e,"/threads/",1,true)or F(e,"/completions/",1,true))and"openai"or"anthropic"end
return"openai"end
function r2.c5(e)return S(e,-12)==":counttokens"or S(e,-22)=="/messages/count_tokens"end
function r2.r3(b,e2,i2,k,r)local f,m=F2,r.max_tokens
local s=J.d2(b,W,f)local n=i2 and n(i2)or i(b,s,f,k)if not s then
return n,E(#b/4),nil,false
end
local l,f2,l2=nil,false,nil
if f.f.stream and r2.s15(e2)and r.f4 then
l={}f2=w(l,b,s,f)end
if m then
l=l or{}l2=K.h2(l,b,s,f,e2,m)end
return n,e(b,f),l and D.a3(l,b),f2,l2
end
end
local I2=(function()local i={U="Nobody knows who sends this request: it has no credentials, or they name no user.",}local function d(v)if v==L(v)then
return O("%.0f",v)end
local s=O("%.15g",v)return T(s)==v and s or O("%.17g",v)end
local function f(h,n,p)local v=h:streamInfo():dynamicMetadata():get(n)for i=1,#p do
if Y(v)~="table"then
return nil
end
v=v[p[i]]end
local k=Y(v)if k=="number"then
return d(v)end
return(k=="string"or k=="boolean")and X.h6(T2(v))or nil
end
function i.c9(h,l)for i=1,#l do
local o=l[i]local d=Y(o.default)=="string"and X.h6(o.default)h:remove(o.header)if d then
h:add(o.header,d)end
end
end
function i.t7(h,h2,o)local v=f(h,o.namespace,o.path)if v then
H.set(h2,o.header,v)end
end
return i
end)()
local B2={}do local _=B2
local b=_ local function s(b,m)local m2=b.models or{}for i=1,#m2 do
if m2[i]==m then
return true
end
end
return false
end
local function f(l,m)for i=1,#l do
if s(l[i],m)then
return l[i].name
end
end
return nil
end
local function k(l,n)for i=1,#l do
if l[i].name==n then
return true
end
end
return false
end
function b.c11(h,n,l,m)local n2=H.settle(h,n)if n2 then
return not k(l,n2)and O("The backend `%s` does not exist.",n2)or nil
end
local c=m and f(l,m)or f(l,"*")if not c and not m and l[1]then
c=l[1].name
end
if c then
H.set(h,n,c)return nil
elseif not m or m=="unknown"then
return"No model could be read from the request, and no backend takes such requests."end
return O("The model `%s` does not exist or you do not have access to it.",m)end
end
local L2={}do local _=L2
local N={"limit","remaining","reset"}local l=_ local function i(n)return O("%.0f",n)end
local function p(h,n)local c=h:getNumValues(n)if Y(c)~="number"or c<1 then
return nil
end
local v=h:getAtIndex(n,c-1)h:remove(n)return Y(v)=="string"and v or nil
end
local function n(v)local d=v and M2(v,"^%s*(%d+)")return d and T(d)or nil
end
function l.t6(h)local p2=p(h,"x-ratelimit-limit")local r,r2=p(h,"x-ratelimit-remaining"),p(h,"x-ratelimit-reset")local l=n(p2)if not l then
return nil
end
return{limit=l,p11=p2,remaining=n(r),reset=n(r2)or 1}end
local function b(o,o2,r)if not o2 then
return true
elseif o.window~=o2.window then
if(o.window<r)~=(o2.window<r)then
return o.window>=r
end
return o.window<o2.window
end
return o.kind=="tokens"and o2.kind~="tokens"end
function l.find(l,s)local w,n,f={},false,nil
for l,w2 in G2(s.p11,"(%d+);w=(%d+)")do
if T(l)==s.limit then
w[T(w2)],n=true,true
end
end
for i=1,#l do
local o=l[i]if
o.reported==s.limit
and(w[o.window]or not n)and b(o,f,s.reset)then
f=o
end
end
return f
end
local function r(h,l,r,r2)for i=1,#N do
h:remove("x-ratelimit-"..N[i].."-tokens")h:remove("x-ratelimit-"..N[i].."-requests")end
h:add("x-ratelimit-limit-"..l.kind,i(l.quantity))h:add("x-ratelimit-remaining-"..l.kind,i(r))h:add("x-ratelimit-reset-"..l.kind,i(r2))end
function l.a(h,l,s)r(h,l,A(0,(s.remaining or 0)+l.quantity-l.reported),s.reset)end
function l.refused(h,s,s2)return s==429 and s2~=nil and s2.remaining==0 and E2.b3(h)end
function l.r2(l,s,m,a)local w=A(1,s.reset)local k,w2,h="tokens","",{}if l then
k=l.kind
h["x-ratelimit-limit-"..k]=i(l.quantity)h["x-ratelimit-remaining-"..k]="0"h["x-ratelimit-reset-"..k]=i(s.reset)local w=l.held and"too little left"or"used up"w2=O(" on %s per %s: limit %s, %s",l.what or k,l.unit,i(l.quantity),w)end
h["retry-after"]=i(w)h["retry-after-ms"]=i(w*1000)h["content-type"]="application/json"if w>60 then
h["x-should-retry"]="false"end
local m=O("Rate limit reached for %s%s. Please try again in %ss.",m,w2,i(w))return h,E2.body(a,"refused",m,{type=k,w4=w})end
function l.r4(h,l2,s,m,a)local s,b=l.r2(l2,s,m,a)for n,v in pairs(s)do
H.set(h,n,v)end
return b
end
end
local R2={}do local _=R2
local r=_ local P="/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"local function v(n)local o=""while n>=128 do
o=o..R(n%128+128)n=L(n/128)end
return o..R(n)end
local function f(t,v2)return R(t)..v(#v2)..v2
end
local function d(c,h)local p={}for i=1,#c.entries do
local e=c.entries[i]p[i]=f(10,f(10,e[1])..f(18,e[2]))end
p[#p+1]=f(26,R(8)..v(h))return C(p)end
local function f2(d2,c,b)local p={f(10,d2)}for i=1,#c do
p[i+1]=f(18,d(c[i],b and c[i].h5 or 0))end
local m=C(p)local s=#m
return R(0,L(s/16777216),L(s/65536)%256,L(s/256)%256,s%256)..m
end
function r.c7(r,c,b)local h={[":method"]="POST",[":path"]=P,[":authority"]=r.cluster,["content-type"]="application/grpc",["te"]="trailers",}return r.cluster,h,f2(r.domain,c,b),b or r.timeoutMs
end
local function n(d,a)local v,s=0,1
local c=B(d,a)while c do
v,s,a=v+c%128*s,s*128,a+1
if c<128 then
return v,a
end
c=B(d,a)end
return nil
end
local function v(d,w)local f,a={},1
while a<=#d do
local t,v
t,a=n(d,a)local w2=t and t%8
if w2==0 or w2==2 then
v,a=n(d,a)if w2==2 and v then
v,a=S(d,a,a+v-1),a+v
end
else
a=(w2==1 or w2==5)and a+(w2==1 and 8 or 4)or nil
end
if not a or a>#d+1 then
return nil
end
if v and L(t/8)==w then
f[#f+1]=v
end
end
return f
end
local function o(d,w)local f=v(d,w)return f and f[1]or 0
end
local function s(d)local l,w=v(d,2),v(d,4)if not l or not l[1]then
return false
end
return{o=o(d,1)==2,l=o(d,3),reset=w and w[1]and o(w[1],1)or 0}end
function r.s9(h,b,c)if Y(h)~="table"or h[":status"]~="200"or(h["grpc-status"]or"0")~="0"then
return nil
end
local a,b2,c2,d,e=B(Y(b)=="string"and b or"",1,5)if a~=0 or not e or((b2*256+c2)*256+d)*256+e~=#b-5 then
return nil
end
local s2=v(S(b,6),2)if not s2 or#s2~=c then
return nil
end
local o={}for i=1,c do
o[i]=s(s2[i])end
return o
end
end
local C4={}do local _=C4
local c=_ function c.entries(l,s)for i=1,#l.match do
local o=l.match[i]if s(o.header)~=o.value then
return nil
end
end
local o={}for i=1,#l.entries do
local e=l.entries[i]local v=e.value or s(e.header)if not v then
return nil
end
o[i]={e.key,v}end
return o
end
end
local S2={}do local _=S2
local s=_ local B="by_"local M2=16384
local T2=16
local B2=10000
function s.n4(h,r)if not r then
return
end
local h2=h:headers()for i=1,#r.headers do
local n=r.headers[i]local v=h2:get(n)if v then
M.set(h,B..n,v)end
end
end
function s.o4(r,r2,h)if not r then
return
end
r2.settle=r
if r2.length and r2.length>M2 then
h:remove("content-length")r2.length=nil
end
end
function s.p10(r,s,m)if r.t3 then
s,r.t3=r.t3..s,nil
end
if m and r.settle and r.m.e3 and#s>M2 then
r.t3=S(s,-T2)return S(s,1,-T2-1)end
return s
end
function s.c12(r,s)local a=r.length and r.m.b2>=r.length
if not r.settle then
return a
end
return(a or r.m.e3)and not r.t3 and#s<=M2
end
function s.p6(h,r)local k,c=M.get(h),{}local function s(n)return k[B..n]end
for i=1,#r.limits do
local l=r.limits[i]local h=T(k[l.due])or 0
local n=h>0 and C4.entries(l,s)if n then
c[#c+1]={due=l.due,h5=h,entries=n}end
end
return c[1]and{route=r,c2=c}end
function s.l7(c)return R2.c7(c.route,c.c2)end
function s.c10(h,c,h2,b)local f,c2=R2.s9(h2,b,#c.c2)or{},{}for i=1,#f do
if f[i]then
local c=c.c2[i]c.l=f[i].l
c2[#c2+1]=c
end
end
if not c2[1]then
return false
end
c.c2=c2
local c,w,f,w2=R2.c7(c.route,c2,B2)h:httpCall(c,w,f,w2,true)for i=1,#c2 do
M.set(h,c2[i].due,0)end
return true
end
function s.s7(c,h,b)local n=R2.s9(h,b,#c.c2)or{}for i=1,#n do
local c,l=c.c2[i],n[i]and n[i].l
if l and l>A(0,c.l-c.h5)and l<=c.l then
return false
end
end
return true
end
end
local P2={}do local _=P2
local p=_ local P="yes"function p.c9(h,r)h:remove(r.header)end
function p.p6(h,r)local h,c=h:headers(),{}local function s(n)return h:get(n)end
for i=1,#r.limits do
local l=r.limits[i]local n=C4.entries(l,s)if n then
c[#c+1]={limit=l,h5=l.check,entries=n}end
end
return c[1]and{route=r,c2=c}end
function p.b6(c)return R2.c7(c.route,c.c2,c.route.timeoutMs)end
local function t(s,o)if not o or s.o~=o.o then
return not o or s.o
end
return s.l<o.l
end
function p.j(c,h,b)local s=R2.s9(h,b,#c.c2)if not s then
return nil
end
local t2
for i=1,#s do
local s,c=s[i],c.c2[i]c.k=s and true
if s and t(s,t2)then
s.of,t2=c.limit.of,s
end
end
c.t5=t2
return not(t2 and t2.o)end
function p.r2(l,h,c,a)local t=c.t5
local h,b=L2.r2(l[t.of],t,M.get(h).model or"unknown",a)h[":status"]="429"return{headers=h,body=b}end
local function p2(l,t,s)if l.key=="completion_tokens"then
return 0
end
for i=1,#s do
if s[i].key==l.key then
return C3.sum(s[i],{prompt=t,completion=0,t2=t,c3=0,c4=0,reasoning=0,})end
end
return t
end
function p.a(h,c,s)local k,r,t=M.get(h),c.route,c.t5
H.set(h:headers(),r.header,P)if t then
M.set(h,"told_of",t.of)M.set(h,"told_left",t.l)M.set(h,"told_reset",t.reset)end
local t=not k.unestimated and k.prompt_estimate or 0
local c2={}for i=1,#c.c2 do
local c=c.c2[i]local p=c.k and c.limit.paid
local h=p and p2(c.limit,t,s)or 0
if h>0 then
c2[#c2+1]={limit=c.limit,h5=h,entries=c.entries}end
end
return c2[1]and{route=r,c2=c2}end
function p.n4(h,c,h2,b)local s=R2.s9(h2,b,#c.c2)or{}for i=1,#s do
if s[i]then
M.set(h,c.c2[i].limit.paid,c.c2[i].h5)end
end
end
end
local R3={}do local _=R3
local r=_ local J="application/json"local function k(h)local v=h:get("content-type")if v==J then
return v
end
return v and M2(W(v),"^[^%s;,]*")or""end
local function r2(r,h,k2)local s={m=M.n2(r,k2),s=nil,u2=false,e4=false,h2=false,messages=nil,stream=nil,d2=nil,length=T(h:get("content-length")or""),settle=nil,t3=nil,}S2.o4(r.settle,s,h)if not H.p8(h)then
return s
end
local k=k(h)s.s=E5.n2(s.m)if k=="application/vnd.amazon.eventstream"then
s.messages=E4.n2()s.m.s6=true
return s
end
s.u2=true
s.e4=k=="text/event-stream"s.m.s6=s.e4
s.h2=s.e4 and k2.forced_usage==true
if s.h2 then
h:remove("content-length")end
return s
end
local function d(s,b)if F(b,"^[ \t\r\n\239\187\191]*[{%[]")then
s.d2=D2.n2(s.s)s.m.s6=false
elseif F(b,s.e4 and"[^\r\n]"or"[^ \t\r\n\239\187\191]")then
s.stream=S3.n2(s.h2)else
return
end
s.u2=false
end
local function o(r,h,s,s2,k)if L2.refused(h,s,s2)then
return"refused"end
local a=next(k)~=nil
local a2=a and not k.told_of and E2.a6(h,s,s2)return a2 and#r.limits>0 and a2 or E2.d5(h,s,a)end
function r.o4(h)local k,r=M.get(h),C2.of(h)if k.usage_source==nil then
M.default(h)end
local h2=h:headers()local s=T(h2:get(":status")or"")or 0
local s2=L2.t6(h2)local k2=o(r,h2,s,s2,k)if k2 then
return{r2={kind=k2,s10=s,s7=s2}}end
local l
if s~=429 then
if k.told_of then
s2={remaining=k.told_left,reset=k.told_reset}l=r.limits[k.told_of]elseif s2 then
l=L2.find(r.limits,s2)end
end
if l then
L2.a(h2,l,s2)end
if s<200 or s>299 or k.unmetered then
return{}end
local s=r2(r,h2,k)s.m:w5(h)return s
end
function r.r4(h,r,b)local k,h2,s=M.get(h),h:headers(),b:length()if r.kind=="unidentified"or r.kind=="forbidden"then
b:setBytes(E2.d6(h2,r.kind,s>0 and b:getBytes(0,s)or""))elseif s>0 then
return
elseif r.kind=="unavailable"then
b:setBytes(E2.p12(h2,k.api,r.s10))else
local l=L2.find(C2.of(h).limits,r.s7)b:setBytes(L2.r4(h2,l,r.s7,k.model or"unknown",k.api))end
end
function r.p(s,h,b)local o
if s.u2 then
d(s,b)end
s.m.b2=s.m.b2+#b
if s.stream then
o=S3.p(s.stream,b,s.s)elseif s.d2 then
D2.p(s.d2,b)elseif s.messages and not E4.p(s.messages,b,s.s)then
s.messages=nil
s.m.s6=false
end
s.m:w5(h)return o~=b and o or nil
end
function r.c6(s,h)local o=s.stream and S3.f3(s.stream,s.s)s.m:f3(h)return o~=""and o or nil
end
end
do
local f,g,a=F2.n4,F2.g,F2.a4
local M2=1000
local U={GET=true,HEAD=true,OPTIONS=true,CONNECT=true}local function b(b)local s=b:length()return s>0 and b:getBytes(0,s)or""end
local function s(b,c)b:setBytes(c)end
local function l(h,h2,r,a)local e,i=P3.r3(h2:get(":path")or"")a.e,a.i3,a.api=e,i,Q.api(e)if a.api~="openai"then
M.set(h,"api",a.api)end
if r.costs[1]then
M.n6(h,r.costs)end
end
local function s2(h,d)for n,d in pairs(d)do
if Y(d)=="string"then
H.settle(h,n,d)end
end
h:remove("accept-encoding")end
local function o(h,l)local s=T(h:get("content-length")or"")return s and s>l and s
end
local function r(h,r,a,b2,s)local h2=h:headers()local e,i=a.e,a.i3
local m,e2,r2,f,l
if Q.c5(e)then
M.set(h,"unestimated",true)end
if s or not H.p8(h2)then
m,e2=Q.u3(s or b2 and b2:length()or 0,i)else
local k=h2:get("content-type")or""local b=b2 and b(b2)or""m,e2,r2,f,l=Q.r3(b,e,i,k,r)end
H.set(h2,r.m4,m)M.a5(h,m,e2)H2.set(h,r.holds,e2,l or r.max_tokens)if r2 then
b2:setBytes(r2)if f then
M.set(h,"forced_usage",true)end
end
end
local function i(h,h2,r)for i=1,#r.metadata do
g(h,I2.t7,h,h2,r.metadata[i])end
return not r.identity or g(h,H.settle,h2,r.identity)end
local function m(h,r,m)local n=r.b7
if not n then
return nil
end
local h=h:headers()local m=m and h:get(r.m4)or nil
return B2.c11(h,n,r.backends,m)end
local function r2(h,a,s,k,m)local h2={[":status"]=s,["content-type"]="application/json"}h:respond(h2,E2.body(a,k,m))end
local function p(h,r,a2)local c=g(h,P2.p6,h,r.prepay)if not c then
return
end
local g2=g(h,P2.j,c,a(h,P2.b6,c))if g2 then
c=g(h,P2.a,h,c,r.costs)if c then
g(h,P2.n4,h,c,a(h,P2.b6,c))end
elseif g2==false then
local r=g(h,P2.r2,r.limits,h,c,a2)if r then
h:respond(r.headers,r.body)end
end
end
function envoy_on_request(h)local r3,a=g(h,C2.of,h)or C2.none(),{}g(h,H2.set,h,r3.holds,0,r3.max_tokens)g(h,M.default,h)local h2=h:headers()g(h,H.set,h2,r3.m4,"unknown")g(h,I2.c9,h2,r3.metadata)if r3.prepay then
g(h,P2.c9,h2,r3.prepay)end
g(h,l,h,h2,r3,a)if not i(h,h2,r3)then
return r2(h,a.api,"401","unidentified",I2.U)end
g(h,s2,h2,r3.defaults)local m2=not U[h2:get(":method")or""]if m2 then
local s=g(h,o,h2,r3.b9)local b=not s and h:body()or nil
g(h,r,h,r3,a,b,s)else
g(h,M.set,h,"unmetered",true)g(h,H2.set,h,r3.holds,0,0)end
local w=g(h,m,h,r3,m2)if w then
return r2(h,a.api,"404","no_model",w)end
g(h,S2.n4,h,r3.settle)if m2 and r3.prepay then
p(h,r3,a.api)end
end
local function b2(h,r)local c=r.settle and g(h,S2.p6,h,r.settle)if not c then
return
end
local h2,b=a(h,S2.l7,c)local w=g(h,S2.c10,h,c,h2,b)local l,b2=0,h:timestamp()while w and l<M2 and h:timestamp()-b2<r.settle.timeoutMs do
l=l+1
h2,b=a(h,S2.l7,c)w=not g(h,S2.s7,c,h2,b)end
end
local function f2(h,r,l,s2)local r2=g(h,R3.c6,r,h)if l and(r2 or r.t3)then
P(s,l,s2..(r.t3 or"")..(r2 or""))end
b2(h,r)end
local function p(h,r,c)local b=g(h,b,c)or""if b==""and not r.settle then
return b,false
end
local o,o2=P(R3.p,r,h,b)if not o then
f(h,o2)o2=r.stream and r.stream.h2 and S3.held(r.stream)..b or nil
end
local s2=S2.p10(r,o2 or b,o)if s2~=b then
g(h,s,c,s2)end
return s2,not o
end
local function s(h,r)local l,s,b
local n=h:bodyChunks()local c=n()while c do
l,s=c,""if not b then
s,b=p(h,r,c)if not b and S2.c12(r,s)then
f2(h,r,l,s)return
end
end
c=n()end
if not b then
f2(h,r,l,s)end
end
function envoy_on_response(h)local r=g(h,R3.o4,h)if r and r.r2 then
local b=h:body(true)g(h,R3.r4,h,r.r2,b)elseif r and r.m then
s(h,r)end
end
end
