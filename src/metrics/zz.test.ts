import {tensor, randn, autocast, noGrad, rand, conv2d} from '../tensor/index.ts';
import {batchCam, normalizeMaps, deadMaps} from '../cam/index.ts';
import * as L from '../losses/index.ts';
import {it} from 'vitest';
const t=(n:string,f:()=>any)=>{ try { const r=f(); console.log(n,'->', r?.toString?.()); } catch(e:any){ console.log(n,'!!',e.name,e.code,e.message); } };
it('x',()=>{
  const a=randn([2,3,4,4],{requiresGrad:true});
  const w=randn([5,3],{requiresGrad:true});
  const logits=a.mul(1).mean([2,3]).matmul(w.t());
  t('unrelated',()=>batchCam(randn([2,5],{requiresGrad:true}),a,[0,1]));
  t('detached+rg',()=>batchCam(logits,a.detach().requiresGrad_(),[0,1]));
  t('nograd',()=>noGrad(()=>batchCam(logits,a,[0,1])));
  t('nograd2',()=>noGrad(()=>batchCam(logits,a,[0,1],{createGraph:false})));
  t('upsample28',()=>batchCam(logits,a,[0,1],{upsample:28 as any}));
  t('upsample frac',()=>batchCam(logits,a,[0,1],{upsample:[2.5,3]}));
  t('upsample str',()=>batchCam(logits,a,[0,1],{upsample:['4','4'] as any}));
  t('targets undef',()=>batchCam(logits,a,undefined as any));
  t('targets 3',()=>batchCam(logits,a,3 as any));
  t('normalize null',()=>batchCam(logits,a,[0,1],{normalize:null as any}));
  t('options null',()=>batchCam(logits,a,[0,1],null as any));
  t('bigint',()=>batchCam(logits,a,[0n,1n] as any));
  t('logits null',()=>batchCam(null as any,a,[0,1]));
  const m=rand([2,16,16]), p=rand([5,16,16]);
  autocast({dtype:'bfloat16'},()=>{
    for (const d of ['l1','l2','ssim'] as const) { t('pl '+d,()=>L.prototypeLoss(m,[0,1],p,{distance:d})); t('bl '+d,()=>L.batchCamLoss(m,[0,1],{prototypes:p,distance:d})); }
    t('ce',()=>L.crossEntropy(logits.matmul(randn([5,5])),[0,1]));
    t('cedtype',()=>logits.matmul(randn([5,5])).dtype);
    t('bc',()=>batchCam(logits.matmul(randn([5,5])),a,[0,1],{upsample:[16,16],normalize:true}));
  });
  for (const d of ['l1','l2','ssim'] as const) { t('pl '+d,()=>L.prototypeLoss(m,[0,1],p,{distance:d})); t('bl '+d,()=>L.batchCamLoss(m,[0,1],{prototypes:p,distance:d})); }
  t('empty',()=>L.prototypeLoss(rand([0,16,16]),[],p));
  t('empty2',()=>L.batchCamLoss(rand([0,16,16]),[],{prototypes:p}));
  t('empty3',()=>L.batchCamLoss(rand([0,16,16]),[],{target:'batch-mean',distance:'l1'}));
  t('uint8',()=>L.ssim(tensor(new Uint8Array(2*16*16),{shape:[2,16,16]}),tensor(new Uint8Array(2*16*16),{shape:[2,16,16]})));
  t('l1 bc',()=>L.l1(rand([2,4,4]),rand([4,4])));
  t('l1 bc',()=>L.l1(rand([2,4,4]),rand([3,4,4])));
  t('ce w',()=>L.crossEntropy(logits,[0,1],{weight:rand([3])}));
  t('ce red',()=>L.crossEntropy(logits,[0,1],{reduction:'x' as any}));
  t('ema',()=>new L.CamEma(0,[2,2]));
  t('ema',()=>new L.CamEma(2.5,[2,2]));
  t('ema',()=>new L.CamEma(2,3 as any));
  t('norm',()=>normalizeMaps(rand([2,0,3])));
  t('norm',()=>normalizeMaps(rand([2,2,3]),{eps:'1' as any}));
  t('norm',()=>normalizeMaps(tensor(new Uint8Array(8),{shape:[2,2,2]})));
  t('dead',()=>deadMaps(rand([3])));
  t('bf16 cnv', ()=>normalizeMaps(rand([2,2,2]).to('bfloat16')));
});
