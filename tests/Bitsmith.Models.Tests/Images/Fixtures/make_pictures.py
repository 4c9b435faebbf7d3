# Makes pictures.json: small picture files with the RGB bytes that Pillow 13.0 (libjpeg-turbo 3.1.3) reads from them.
# Usage: python3 make_pictures.py pictures.json
import io, json, base64, sys, zlib, struct, random
import numpy as np
from PIL import Image, ImageOps
rng=np.random.default_rng(7); random.seed(7)
out=[]
b64=lambda b: base64.b64encode(b).decode()
def add(name, data, exif=False):
    e={"name":name,"file":b64(data)}
    try:
        im=Image.open(io.BytesIO(data)); im.load()
        rgb=im.convert("RGB")
        e["width"],e["height"]=rgb.size
        e["rgb"]=b64(zlib.compress(rgb.tobytes(),9))
        if exif:
            up=ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
            e["uprightWidth"],e["uprightHeight"]=up.size
            e["upright"]=b64(zlib.compress(up.tobytes(),9))
    except Exception as x:
        e["error"]=f"{type(x).__name__}: {x}"
        print("PIL refuses",name,e["error"])
    out.append(e)
def picture(w,h):
    y,x=np.mgrid[0:h,0:w]
    a=np.stack([128+100*np.sin(x/5+y/9),128+90*np.cos(y/4-x/11),(x*7+y*3)%256],-1)
    a+=rng.normal(0,12,a.shape)
    a[h//3:h//3+4,w//4:w//4+6]=[250,10,30]
    return np.clip(a,0,255).astype(np.uint8)
# ---- PNG writer
def chunk(t,d): return struct.pack(">I",len(d))+t+d+struct.pack(">I",zlib.crc32(t+d))
CH={0:1,2:3,3:1,4:2,6:4}
def pack(samples,depth):
    # samples [h,w,c] -> rows of bytes
    rows=[]
    for r in samples:
        f=r.reshape(-1)
        if depth==16: rows.append(f.astype(">u2").tobytes())
        elif depth==8: rows.append(f.astype(np.uint8).tobytes())
        else:
            bits="".join(format(int(v),f"0{depth}b") for v in f); bits+="0"*(-len(bits)%8)
            rows.append(bytes(int(bits[i:i+8],2) for i in range(0,len(bits),8)))
    return rows
def filt(rows,bpp,pick):
    o=b""; prev=bytes(len(rows[0])) if rows else b""
    for i,r in enumerate(rows):
        f=pick(i); o+=bytes([f])
        for j,v in enumerate(r):
            a=r[j-bpp] if j>=bpp else 0; b=prev[j]; c=prev[j-bpp] if j>=bpp else 0
            if f==0:p=0
            elif f==1:p=a
            elif f==2:p=b
            elif f==3:p=(a+b)//2
            else:
                q=a+b-c; pa,pb,pc=abs(q-a),abs(q-b),abs(q-c)
                p=a if pa<=pb and pa<=pc else b if pb<=pc else c
            o+=bytes([(v-p)&255])
        prev=r
    return o
def png(samples,depth,color,inter=False,extra=b"",split=0,tail=b"",post=b""):
    h,w=samples.shape[:2]; bpp=max(1,depth*CH[color]//8)
    pick=lambda i:(i*3+1)%5
    if inter:
        raw=b""
        for sx,sy,dx,dy in [(0,0,8,8),(4,0,8,8),(0,4,4,8),(2,0,4,4),(0,2,2,4),(1,0,2,2),(0,1,1,2)]:
            sub=samples[sy::dy,sx::dx]
            if sub.size: raw+=filt(pack(sub,depth),bpp,pick)
    else: raw=filt(pack(samples,depth),bpp,pick)
    z=zlib.compress(raw,9)
    parts=[z] if not split else [z[i:i+split] for i in range(0,len(z),split)]
    return b"\x89PNG\r\n\x1a\n"+chunk(b"IHDR",struct.pack(">IIBBBBB",w,h,depth,color,0,0,int(inter)))+extra+b"".join(chunk(b"IDAT",p) for p in parts)+post+chunk(b"IEND",b"")+tail
def samp(w,h,color,depth):
    p=picture(w,h).astype(int); c=CH[color]; m=(1<<depth)-1
    if color in(0,3): s=p[...,:1]
    elif color==4: s=p[...,:2]
    elif color==2: s=p
    else: s=np.concatenate([p,255-p[...,:1]],-1)
    if depth==16: s=s*257+rng.integers(0,200,s.shape); s=np.clip(s,0,65535); 
    else: s=s>>(8-depth)
    return s
pal=lambda n: chunk(b"PLTE",bytes(rng.integers(0,256,3*n,dtype=np.uint8).tolist()))
for color,depths in [(0,[1,2,4,8,16]),(2,[8,16]),(3,[1,2,4,8]),(4,[8,16]),(6,[8,16])]:
    for d in depths:
        for inter in (False,True):
            ex=pal(1<<d) if color==3 else b""
            add(f"png color {color} depth {d}{' interlaced' if inter else ''}",png(samp(13,11,color,d),d,color,inter,ex))
s=samp(13,11,0,16); s[:4]=rng.integers(0,300,s[:4].shape)
add("png gray 16 with small values",png(s,16,0)); add("png gray 16 with small values interlaced",png(s,16,0,True))
add("png palette with tRNS",png(samp(13,11,3,4),4,3,False,pal(16)+chunk(b"tRNS",bytes([0,128,255,3]))))
add("png palette with one transparent colour",png(samp(13,11,3,2),2,3,False,pal(4)+chunk(b"tRNS",bytes([255,0]))))
add("png gray with tRNS",png(samp(13,11,0,8),8,0,False,chunk(b"tRNS",b"\0\x80")))
add("png gray 1 with tRNS",png(samp(13,11,0,1),1,0,False,chunk(b"tRNS",b"\0\x01")))
add("png gray 16 with tRNS",png(samp(13,11,0,16),16,0,False,chunk(b"tRNS",b"\x10\x80")))
add("png rgb with tRNS",png(samp(13,11,2,8),8,2,False,chunk(b"tRNS",b"\0\x80\0\x01\0\x02")))
add("png rgb 16 with tRNS",png(samp(13,11,2,16),16,2,False,chunk(b"tRNS",b"\0\x80\0\x01\0\x02")))
add("png rgb with suggested palette",png(samp(13,11,2,8),8,2,False,pal(5)))
add("png rgb in many IDAT chunks",png(samp(13,11,2,8),8,2,split=7))
add("png rgb with text, gamma and garbage behind the end",png(samp(13,11,2,8),8,2,extra=chunk(b"gAMA",struct.pack(">I",45455))+chunk(b"tEXt",b"Comment\0hello"),tail=b"garbage"))
for w,h in [(1,1),(1,9),(9,1),(2,2),(3,5),(5,3),(8,8)]:
    add(f"png interlaced {w}x{h}",png(samp(w,h,2,8),8,2,True))
    add(f"png interlaced 1 bit {w}x{h}",png(samp(w,h,0,1),1,0,True))
tiff=lambda o,e=">": (b"MM\0*" if e==">" else b"II*\0")+struct.pack(e+"IHHHIHHI",8,1,0x112,3,1,o,0,0)
add("png with eXIf orientation 6",png(samp(7,5,2,8),8,2,extra=chunk(b"eXIf",tiff(6))),True)
add("png with eXIf orientation 3 behind the pixels",png(samp(7,5,2,8),8,2,post=chunk(b"eXIf",tiff(3,"<"))),True)
# ---- JPEG by PIL
def jp(w,h,mode="RGB",**k):
    im=Image.fromarray(picture(w,h))
    if mode!="RGB":
        im=im.convert(mode)
        if mode=="CMYK":
            a=np.array(im); a[...,3]=rng.integers(0,120,a.shape[:2]); im=Image.fromarray(a,"CMYK")
    b=io.BytesIO(); im.save(b,"JPEG",**k); return b.getvalue()
for sub in ["4:4:4","4:2:2","4:2:0"]:
    for prog in (False,True):
        for q in (30,92):
            add(f"jpeg {sub} quality {q}{' progressive' if prog else ''}",jp(35,21,quality=q,subsampling=sub,progressive=prog,optimize=True))
for w,h in [(1,1),(2,2),(3,3),(4,5),(5,4),(7,17),(16,16),(17,16),(16,17),(33,8)]:
    for sub in ["4:2:2","4:2:0"]:
        add(f"jpeg {sub} {w}x{h}",jp(w,h,quality=80,subsampling=sub,optimize=True))
add("jpeg 4:2:0 progressive 5x37",jp(5,37,quality=85,subsampling="4:2:0",progressive=True,optimize=True))
add("jpeg gray",jp(35,21,"L",quality=85)); add("jpeg gray progressive",jp(35,21,"L",quality=85,progressive=True))
add("jpeg restart every 1 block",jp(35,21,quality=75,restart_marker_blocks=1)); add("jpeg restart every row",jp(35,40,quality=75,restart_marker_rows=1))
add("jpeg restart progressive",jp(35,40,quality=75,progressive=True,restart_marker_blocks=2))
add("jpeg rgb",jp(35,21,quality=85,keep_rgb=True)); add("jpeg rgb progressive",jp(35,21,quality=85,keep_rgb=True,progressive=True))
add("jpeg cmyk",jp(35,21,"CMYK",quality=85)); add("jpeg cmyk progressive",jp(35,21,"CMYK",quality=85,progressive=True))
add("jpeg quality 100",jp(24,24,quality=100,subsampling="4:4:4"))
add("jpeg quality 1",jp(24,24,quality=1,subsampling="4:2:0"))
for o in range(1,9):
    ex=Image.Exif(); ex[0x112]=o
    add(f"jpeg orientation {o}",jp(9,5,quality=70,exif=ex.tobytes(),optimize=True),True)
add("jpeg orientation 8 little endian",jp(9,5,quality=70,exif=b"Exif\0\0"+tiff(8,"<"),optimize=True),True)
add("jpeg orientation in XMP",jp(9,5,quality=70,xmp=b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>',optimize=True),True)
# ---- own JPEG writer: random coefficients, any sampling
ZZ=[0,1,8,16,9,2,3,10,17,24,32,25,18,11,4,5,12,19,26,33,40,48,41,34,27,20,13,6,7,14,21,28,35,42,49,56,57,50,43,36,29,22,15,23,30,37,44,51,58,59,52,45,38,31,39,46,53,60,61,54,47,55,62,63]
class Bits:
    def __init__(s): s.b=""; s.o=bytearray()
    def put(s,v,n):
        if n: s.b+=format(v,f"0{n}b")
    def flush(s):
        s.b+="1"*(-len(s.b)%8)
        for i in range(0,len(s.b),8):
            v=int(s.b[i:i+8],2); s.o.append(v)
            if v==255: s.o.append(0)
        s.b=""
def size(v): return abs(v).bit_length()
def val(b,v,n): b.put(v if v>=0 else v+(1<<n)-1,n)
# simple codes: DC 12 symbols, 4+ bits; AC chosen: all symbols with 8 or 9 bits
DCC=[0]*16; DCC[3]=12; DCS=list(range(12)); dc=lambda s:(s,4)
ACSYM=[0,0xF0]+[r<<4|s for r in range(16) for s in range(1,11)]
ACC=[0]*16; ACC[7]=100; ACC[8]=len(ACSYM)-100
def ac(sym):
    i=ACSYM.index(sym)
    return (i,8) if i<100 else (200+i-100,9)
def seg(m,d): return bytes([255,m])+struct.pack(">H",len(d)+2)+d
def own(w,h,comps,adobe=None,jfif=False,dri=0,interleave=True,q16=False,sof=0xC0,fill=False,lead=b""):
    # comps: list of (id,h,v)
    H=max(c[1] for c in comps); V=max(c[2] for c in comps)
    mw=-(-w//(8*H)); mh=-(-h//(8*V))
    o=b"\xff\xd8"
    if jfif: o+=seg(0xE0,b"JFIF\0\1\1\0\0\1\0\1\0\0")
    if adobe is not None: o+=seg(0xEE,b"Adobe\0\x64\0\0\0\0"+bytes([adobe]))
    q=[3+i//4 for i in range(64)]
    o+=lead+(seg(0xDB,b"\x10"+struct.pack(">64H",*q)) if q16 else seg(0xDB,b"\0"+bytes(q)))
    o+=seg(0xC4,b"\0"+bytes(DCC)+bytes(DCS)+b"\x10"+bytes(ACC)+bytes(ACSYM))
    if fill: o+=b"\xff\xff\xff"
    o+=seg(sof,struct.pack(">BHHB",8,h,w,len(comps))+b"".join(bytes([i,a<<4|b,0]) for i,a,b in comps))
    if dri: o+=seg(0xDD,struct.pack(">H",dri))
    def block(b,pred):
        d=int(np.clip(round(random.gauss(0,60)),-300,300)); v=int(np.clip(pred+d,-330,330)); d=v-pred
        s=size(d); b.put(*dc(s)); val(b,d,s)
        k=1
        while k<64:
            r=random.choice([0,0,1,1,2,4,9,17])
            if random.random()<0.15 or k+r>63: b.put(*ac(0)); break
            k+=r
            while r>15: b.put(*ac(0xF0)); r-=16
            a=random.choice([1,-1,2,-2,3,-5,7,-9,14,-20]) if k<20 else random.choice([1,-1,2])
            s=size(a); b.put(*ac(r<<4|s)); val(b,a,s); k+=1
        return v
    scans=[comps] if interleave else [[c] for c in comps]
    for sc in scans:
        o+=seg(0xDA,bytes([len(sc)])+b"".join(bytes([c[0],0]) for c in sc)+b"\0\x3f\0")
        b=Bits(); pred={c[0]:0 for c in sc}
        if len(sc)==1:
            c=sc[0]; cw=-(-(-(-w*c[1]//H))//8); chh=-(-(-(-h*c[2]//V))//8); units=[[(c,1)]]*(cw*chh)
        else: units=[[(c,c[1]*c[2]) for c in sc]]*(mw*mh)
        for n,u in enumerate(units):
            if dri and n and n%dri==0:
                b.flush(); b.o+=bytes([255,0xD0+(n//dri-1)%8]); pred={c[0]:0 for c in sc}
            for c,cnt in u:
                for _ in range(cnt): pred[c[0]]=block(b,pred[c[0]])
        b.flush(); o+=bytes(b.o)
    return o+b"\xff\xd9"
Y=lambda y,cb=(1,1),cr=(1,1):[(1,*y),(2,*cb),(3,*cr)]
for n,c in {"4:4:0":Y((1,2)),"4:1:1":Y((4,1)),"4:1:0":Y((4,2)),"4:4:1":Y((1,4)),"3x1":Y((3,1)),"1x3":Y((1,3)),"2x2 with 2x1 and 1x2":Y((2,2),(2,1),(1,2)),"2x2 with 1x2":Y((2,2),(1,2),(1,2)),"chroma finer than luma":Y((1,1),(2,1),(1,2)),"3x2":Y((3,2)),"4x2 with 2x1 and 1x1":Y((4,2),(1,1),(1,1)),"2x4":Y((2,4)),"all 2x2":Y((2,1),(2,1),(2,1)),"3x1 with 2x1":Y((3,1),(2,1),(1,1))}.items():
    for w,h in [(37,23)]: add(f"jpeg random {n} {w}x{h}",own(w,h,c,jfif=True))
    add(f"jpeg random {n} in one scan each",own(19,35,c,jfif=True,interleave=False))
for w,h in [(1,1),(3,2),(2,33),(33,2),(5,9)]:
    add(f"jpeg random 4:4:0 {w}x{h}",own(w,h,Y((1,2)))); add(f"jpeg random 4:2:0 {w}x{h}",own(w,h,Y((2,2)),interleave=False))
add("jpeg random gray 2x2",own(37,23,[(1,2,2)])); add("jpeg random gray 1x2 restart",own(37,23,[(1,1,2)],dri=3))
add("jpeg random 4:2:0 restart 2",own(70,23,Y((2,2)),dri=2)); add("jpeg random restart in one scan each",own(40,23,Y((2,1)),dri=4,interleave=False))
add("jpeg random adobe 0",own(20,12,Y((1,1)),adobe=0)); add("jpeg random adobe 1",own(20,12,Y((1,1)),adobe=1)); add("jpeg random adobe 2",own(20,12,Y((1,1)),adobe=2))
add("jpeg random jfif and adobe 0",own(20,12,Y((1,1)),adobe=0,jfif=True))
add("jpeg random components RGB",own(20,12,[(82,1,1),(71,1,1),(66,1,1)])); add("jpeg random components 0 1 2",own(20,12,[(0,1,1),(1,1,1),(2,1,1)]))
K=lambda *s:[(i+1,*x) for i,x in enumerate(s)]
add("jpeg random cmyk without adobe",own(20,12,K((1,1),(1,1),(1,1),(1,1)))); add("jpeg random cmyk adobe 0",own(20,12,K((1,1),(1,1),(1,1),(1,1)),adobe=0))
add("jpeg random ycck adobe 2",own(20,12,K((1,1),(1,1),(1,1),(1,1)),adobe=2)); add("jpeg random ycck 4:2:0",own(37,23,K((2,2),(1,1),(1,1),(2,2)),adobe=2)); add("jpeg random ycck adobe 1",own(20,12,K((1,1),(1,1),(1,1),(1,1)),adobe=1))
add("jpeg random 16-bit quantization extended",own(20,12,Y((2,1)),q16=True,sof=0xC1))
add("jpeg random fill bytes and comment",own(20,12,Y((1,1)),fill=True,lead=seg(0xFE,b"comment")))
add("jpeg random garbage behind the end",own(20,12,Y((1,1)))+b"garbage")
json.dump(out,open(sys.argv[1],"w"),indent=0)
print(len(out), sum(len(e["file"]) for e in out))
