// Shows a result of actionpose: skeletons in 3D, the 2D input, and a timeline of actions.
// The data are what `_page_data` of actionpose/visualization/html_viewer.py returns. View axes: x right, y up, z towards
// the viewer; meters.

import {
  Color, CylinderGeometry, DirectionalLight, DoubleSide, Group, HemisphereLight, InstancedMesh, Matrix4, Mesh,
  MeshStandardMaterial, Object3D, PCFShadowMap, PerspectiveCamera, PlaneGeometry, Scene, ShaderMaterial, ShadowMaterial,
  SphereGeometry, Vector3, WebGLRenderer,
} from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const numPersons = data.track_id.length;
const numFrames = data.time_s.length;
const numJoints = data.joints.length;
const start = data.time_s[0];
const duration = data.time_s.at(-1) - start;
const root = data.joints.findIndex((_, joint) => data.bones.every(([child]) => child !== joint));

// ---------------------------------------------------------------- data

function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** Float32Array of a packed array; NaN is what is not known. */
function unpacked({ step, data: base64 }) {
  const steps = new Int16Array(bytes(base64).buffer);
  return Float32Array.from(steps, (value) => (value === -32768 ? NaN : value * step));
}

const valid = bytes(data.valid);
const xy = unpacked(data.xy_px);
const confidence = bytes(data.confidence);
const uncertainty = data.uncertainty_mm && unpacked(data.uncertainty_mm); // null: not known

/** (P, T, J, 3) in view axes, on the floor. */
const positions = (() => {
  const pose = unpacked(data.pose_m);
  const path = data.root_m && unpacked(data.root_m);
  const placed = new Float32Array(pose.length);
  for (let i = 0; i < pose.length; i += 3) {
    const frame = Math.floor(i / (3 * numJoints)); // counts over persons, too
    const offset = data.offset_m[Math.floor(frame / numFrames)];
    const own = [0, 1, 2].map((axis) => pose[i + axis] + (path ? path[3 * frame + axis] : 0));
    for (let axis = 0; axis < 3; axis++) {
      const [x, y, z] = data.view[axis];
      placed[i + axis] = x * own[0] + y * own[1] + z * own[2] - offset[axis];
    }
  }
  return placed;
})();

const isThere = (person, frame) => valid[person * numFrames + frame] === 1;

/** The joint at `frame` plus a fraction of the way to the next one, into `out`. */
function jointAt(person, frame, fraction, joint, out) {
  const i = 3 * ((person * numFrames + frame) * numJoints + joint);
  out.fromArray(positions, i);
  if (fraction > 0 && frame + 1 < numFrames && isThere(person, frame + 1)) {
    out.lerp(next.fromArray(positions, i + 3 * numJoints), fraction);
  }
  return out;
}
const next = new Vector3();

/** The last frame at or before a time. */
function frameAt(time) {
  let low = 0;
  let high = numFrames - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (data.time_s[middle] <= time + 1e-6) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** 0 to 1: the detector's confidence in a joint; a bone has that of its less confident end. */
const confidenceOf = (person, frame, joint) => confidence[(person * numFrames + frame) * numJoints + joint] / 255;

// ---------------------------------------------------------------- state

const state = {
  time: start,
  frame: 0,
  playing: false,
  speed: 1,
  person: numPersons > 1 ? null : 0, // null: everybody
  showConfidence: true, // joints of low confidence are pale
  showUncertainty: true, // a halo holds the joint in 68 % of cases
  theme: "light",
  changed: true,
};

/** What a link may ask for, as in page.html#t=1.5&view=side&play=0&theme=dark. */
const asked = new URLSearchParams(location.hash.slice(1));

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isShown = (person) => state.person === null || state.person === person;

function seek(time) {
  state.time = Math.min(Math.max(time, start), start + duration);
  state.frame = frameAt(state.time);
  state.changed = true;
}
const seekFrame = (frame) => seek(data.time_s[Math.min(Math.max(frame, 0), numFrames - 1)]);

// ---------------------------------------------------------------- bodies

const BONE_RADIUS_M = 0.03;
const SLIM = { wrist: 0.7, elbow: 0.85, ankle: 0.85, hip: 1.05, spine: 1.25, thorax: 1.25, shoulder: 1 };
const up = new Vector3(0, 1, 0);
const a = new Vector3();
const b = new Vector3();
const along = new Vector3();
const isCrowd = numPersons > 20; // without names over heads and shadows, and of fewer triangles
const nowhere = new Matrix4().makeScale(0, 0, 0);

/** Equal meshes of everybody, drawn at once. */
class Instances {
  constructor(geometry, look = {}) {
    const material = new MeshStandardMaterial({ roughness: 0.5, metalness: 0, ...look });
    this.mesh = new InstancedMesh(geometry, material, numPersons * (numJoints + 1));
    this.mesh.castShadow = true;
    this.mesh.frustumCulled = false;
    this.parts = [];
  }

  /** An object whose place, size and color one of the meshes takes. */
  part(group, color) {
    const part = new Object3D();
    part.userData = { own: new Color(color), color: new Color(color) };
    group.add(part);
    this.parts.push(part);
    return part;
  }

  update() {
    this.mesh.count = this.parts.length;
    this.parts.forEach((part, i) => {
      const isVisible = part.visible && part.parent.visible;
      if (isVisible) part.updateMatrix();
      this.mesh.setMatrixAt(i, isVisible ? part.matrix : nowhere);
      this.mesh.setColorAt(i, part.userData.color);
    });
    this.mesh.instanceMatrix.needsUpdate = this.mesh.instanceColor.needsUpdate = true;
  }
}

const spheres = new Instances(new SphereGeometry(1, ...(isCrowd ? [8, 6] : [32, 20])));
const tubes = new Instances(new CylinderGeometry(1, 1, 1, isCrowd ? 7 : 24, 1, true));
const halos = uncertainty && !isCrowd && new Instances(new SphereGeometry(1, 24, 14), { transparent: true, opacity: 0.13, depthWrite: false });
if (halos) halos.mesh.castShadow = false;
const instances = [spheres, tubes, halos].filter(Boolean);

const radius = (joint) => BONE_RADIUS_M * (SLIM[data.joints[joint].split("_").at(-1)] ?? 1);

const pale = new Color(); // of the theme

class Body {
  constructor(person) {
    this.person = person;
    this.group = new Group();
    this.joints = data.joints.map((_, joint) => spheres.part(this.group, data.colors[joint]));
    this.bones = data.bones.map(([child]) => tubes.part(this.group, data.colors[child]));
    this.halos = !halos ? [] : data.joints.map((_, joint) => halos.part(this.group, data.colors[joint]));
    const [nose, top] = ["nose", "head"].map((name) => data.joints.indexOf(name));
    this.head = data.bones.some(([child, parent]) => child === top && parent === nose)
      ? { nose, top, mesh: spheres.part(this.group, data.colors[top]) }
      : null;
  }

  update(frame, fraction) {
    this.group.visible = isShown(this.person) && isThere(this.person, frame);
    if (!this.group.visible) return;
    this.joints.forEach((mesh, joint) => {
      jointAt(this.person, frame, fraction, joint, mesh.position);
      mesh.visible = !Number.isNaN(mesh.position.x);
      mesh.scale.setScalar(radius(joint) * 1.12);
      this.color(mesh, confidenceOf(this.person, frame, joint));
    });
    this.bones.forEach((mesh, i) => {
      const [child, parent] = data.bones[i];
      const thickness = (radius(child) + (data.joints[parent].includes("_") ? radius(parent) : radius(child))) / 2;
      this.stretch(mesh, this.joints[parent].position, this.joints[child].position, thickness, 1);
      this.color(mesh, Math.min(confidenceOf(this.person, frame, child), confidenceOf(this.person, frame, parent)));
    });
    this.halos.forEach((halo, joint) => {
      const size = uncertainty[(this.person * numFrames + frame) * numJoints + joint] / 1000;
      halo.visible = state.showUncertainty && size > 0 && this.joints[joint].visible;
      halo.position.copy(this.joints[joint].position);
      halo.scale.setScalar(size || 1);
    });
    if (this.head) {
      const { nose, top, mesh } = this.head;
      a.copy(this.joints[nose].position);
      b.copy(this.joints[top].position);
      const length = a.distanceTo(b);
      this.stretch(mesh, a, b, Math.max(0.42 * length, 0.075), 0.62);
      this.joints[top].visible = false;
      this.color(mesh, confidenceOf(this.person, frame, nose));
    }
  }

  /** Its own color, paler the lower the confidence. */
  color(mesh, level) {
    const alpha = state.showConfidence ? 0.15 + 0.85 * Math.min(level / 0.8, 1) : 1;
    mesh.userData.color.copy(pale).lerp(mesh.userData.own, alpha);
  }

  /** Lay a unit mesh along a line. */
  stretch(mesh, from, to, thickness, lengthen) {
    along.subVectors(to, from);
    const length = along.length();
    mesh.visible = length > 1e-6; // false for NaN, too
    if (!mesh.visible) return;
    mesh.position.addVectors(from, to).multiplyScalar(0.5);
    mesh.quaternion.setFromUnitVectors(up, along.divideScalar(length));
    mesh.scale.set(thickness, length * lengthen, thickness);
  }
}

// ---------------------------------------------------------------- the 3D view

function floor() {
  const material = new ShaderMaterial({
    transparent: true,
    depthWrite: false,
    side: DoubleSide,
    uniforms: { center: { value: new Vector3() }, ink: { value: new Color() } },
    vertexShader: `varying vec3 world;
      void main() { vec4 p = modelMatrix * vec4(position, 1.0); world = p.xyz; gl_Position = projectionMatrix * viewMatrix * p; }`,
    // lines one pixel wide at any distance, fading out around the middle
    fragmentShader: `varying vec3 world; uniform vec3 center; uniform vec3 ink;
      float lines(float every) {
        vec2 at = world.xz / every; vec2 width = fwidth(at);
        vec2 d = abs(fract(at - 0.5) - 0.5) / max(width, 1e-6);
        float fine = 1.0 - smoothstep(0.15, 0.6, max(width.x, width.y)); // no moiré far away
        return (1.0 - min(min(d.x, d.y) / 1.1, 1.0)) * fine;
      }
      void main() {
        float fade = exp(-pow(length(world.xz - center.xz) / 4.2, 2.0));
        float line = max(lines(0.5) * 0.16, lines(1.0) * 0.34);
        gl_FragColor = vec4(ink, line * fade);
      }`,
  });
  const grid = new Mesh(new PlaneGeometry(80, 80).rotateX(-Math.PI / 2), material);
  const shade = new Mesh(new PlaneGeometry(80, 80).rotateX(-Math.PI / 2), new ShadowMaterial({ opacity: 0.2 }));
  shade.receiveShadow = true;
  shade.position.y = -0.002;
  return { grid, shade };
}

class View3D {
  constructor(stage) {
    this.stage = stage;
    this.renderer = new WebGLRenderer({ antialias: true, alpha: true });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = PCFShadowMap;
    stage.prepend(this.renderer.domElement);
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(32, 1, 0.05, 200);
    this.controls = new OrbitControls(this.camera, this.renderer.domElement);
    Object.assign(this.controls, { enableDamping: true, dampingFactor: 0.12, maxPolarAngle: 1.62, minDistance: 0.6, maxDistance: 60 });
    this.controls.addEventListener("change", () => (state.changed = true));

    this.sky = new HemisphereLight(0xffffff, 0xb9c0cc, 2.1);
    this.scene.add(this.sky);
    this.sun = new DirectionalLight(0xffffff, 2.2);
    this.sun.castShadow = !isCrowd;
    this.sun.shadow.mapSize.set(2048, 2048);
    this.sun.shadow.radius = 5;
    this.sun.shadow.bias = -0.0004;
    this.scene.add(this.sun, this.sun.target);
    this.floor = floor();
    this.scene.add(this.floor.shade, this.floor.grid);
    this.bodies = data.track_id.map((_, person) => new Body(person));
    this.scene.add(...instances.map(({ mesh }) => mesh));

    this.labels = numPersons < 2 || isCrowd ? [] : data.track_id.map((id) => {
      const label = document.createElement("span");
      label.textContent = `#${id}`;
      $("labels").append(label);
      return label;
    });
    this.center = new Vector3(); // what the camera follows
    this.look("oblique");
    new ResizeObserver(() => this.resize()).observe(stage);
  }

  /** Take the colors of the page. */
  dress() {
    pale.set(css("--pale"));
    this.floor.grid.material.uniforms.ink.value.set(css("--grid")).convertLinearToSRGB(); // written as it is
    this.floor.shade.material.opacity = state.theme === "dark" ? 0.45 : 0.2;
    this.sky.intensity = state.theme === "dark" ? 1.5 : 2.1;
    state.changed = true;
  }

  /** How large a box around who is shown is, over all frames; for the distance of the camera. */
  extent() {
    let width = 0.9;
    let height = data.live ? 1.9 : 1.2;
    const spread = { x: [Infinity, -Infinity], z: [Infinity, -Infinity] };
    for (let person = 0; person < numPersons; person++) {
      if (!isShown(person)) continue;
      for (let frame = 0; frame < numFrames; frame += Math.ceil(numFrames / 300)) {
        if (!isThere(person, frame)) continue;
        const pelvis = jointAt(person, frame, 0, root, b);
        for (let joint = 0; joint < numJoints; joint++) {
          const { x, y } = jointAt(person, frame, 0, joint, a);
          if (Number.isNaN(x)) continue;
          height = Math.max(height, y);
          width = Math.max(width, 2 * Math.abs(x - pelvis.x) || 0);
        }
        for (const axis of ["x", "z"]) {
          spread[axis] = [Math.min(spread[axis][0], pelvis[axis]), Math.max(spread[axis][1], pelvis[axis])];
        }
      }
    }
    if (state.person !== null) return { width, height }; // followed wherever it goes
    const reach = Math.max(...Object.values(spread).map(([low, high]) => high - low), 0);
    return { width: width + Math.min(reach, isCrowd ? 24 : 8), height };
  }

  /** Keep one person in the middle; several walk about in a view that stays. */
  follow(fraction = 0) {
    if (state.person === null) a.set(0, 0, 0);
    else jointAt(state.person, state.frame, fraction, root, a).setY(0);
    if (Number.isNaN(a.x)) return; // not there at this frame
    const moved = b.subVectors(a, this.center);
    this.center.copy(a);
    this.camera.position.add(moved);
    this.controls.target.add(moved);
  }

  look(name) {
    const [azimuth, elevation] = { camera: [0, 3], oblique: [38, 14], side: [90, 6], top: [0, 88] }[name];
    this.follow();
    const { width, height } = this.extent();
    const half = Math.tan((this.camera.fov / 2) * (Math.PI / 180));
    const aspect = this.camera.aspect || 1;
    const distance = 1.2 * Math.max(height / 2 / half, width / 2 / half / aspect) + 0.5;
    const [az, el] = [azimuth, elevation].map((degrees) => (degrees * Math.PI) / 180);
    this.controls.target.copy(this.center).setY(height * 0.47);
    this.camera.position
      .set(Math.sin(az) * Math.cos(el), Math.sin(el), Math.cos(az) * Math.cos(el))
      .multiplyScalar(distance)
      .add(this.controls.target);
    this.view = name;
    state.changed = true;
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.renderer.domElement.style.cssText += `width:${width}px;height:${height}px`;
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    if (this.view) this.look(this.view); // until the user turns it
    state.changed = true;
  }

  update(fraction) {
    this.follow(fraction);
    this.bodies.forEach((body) => body.update(state.frame, fraction));
    instances.forEach((each) => each.update());
    this.sun.target.position.copy(this.center);
    this.sun.position.copy(this.center).add(b.set(1.6, 5, 2.2));
    const reach = numPersons > 1 && state.person === null ? 6 : 2;
    Object.assign(this.sun.shadow.camera, { left: -reach, right: reach, top: reach, bottom: -reach });
    this.sun.shadow.camera.updateProjectionMatrix();
    this.floor.grid.material.uniforms.center.value.copy(this.center);
    this.renderer.render(this.scene, this.camera);
    this.labels.forEach((label, person) => this.placeLabel(label, this.bodies[person]));
  }

  placeLabel(label, body) {
    label.hidden = !body.group.visible || state.person !== null;
    if (label.hidden) return;
    a.set(0, -Infinity, 0);
    body.joints.forEach(({ position }) => position.y > a.y && a.copy(position));
    a.y += 0.12;
    a.project(this.camera);
    const [x, y] = [((a.x + 1) / 2) * this.stage.clientWidth, ((1 - a.y) / 2) * this.stage.clientHeight];
    label.style.transform = `translate(${x}px, ${y}px) translate(-50%, -100%)`;
  }
}

// ---------------------------------------------------------------- the video

/** The video or image under the keypoints, kept at the time of the motion; null without one. */
const video = (() => {
  if (!data.video) return null;
  const isImage = data.video.is_image;
  const element = document.createElement(isImage ? "img" : "video");
  Object.assign(element, isImage ? {} : { muted: true, playsInline: true, preload: "auto" });
  const fresh = () => (state.changed = true);
  for (const event of ["load", "loadeddata", "seeked"]) element.addEventListener(event, fresh);
  element.addEventListener("error", () => {
    $("note").hidden = false;
    $("note").textContent = `The video cannot be shown: ${data.video.name} was moved, or this browser does not play it.`;
  });
  element.src = data.video.src;
  const last = document.createElement("canvas"); // stays on show while the video seeks
  let isDrawn = false;
  return {
    picture() {
      if (isImage ? element.complete : element.readyState >= 2) {
        const [width, height] = isImage ? [element.naturalWidth, element.naturalHeight] : [element.videoWidth, element.videoHeight];
        if (last.width !== width || last.height !== height) Object.assign(last, { width, height });
        const pen = last.getContext("2d");
        pen.setTransform(data.video.mirrored ? -1 : 1, 0, 0, 1, data.video.mirrored ? width : 0, 0);
        if (width && height) pen.drawImage(element, 0, 0);
        isDrawn = width > 0 && height > 0;
      }
      return isDrawn ? last : null;
    },
    follow() {
      if (!element.duration) return; // an image has none
      // a little after the frame's own time, so that rounding does not show the one before
      const time = (state.time + data.video.offset_s) * data.video.time_scale;
      const target = Math.min(Math.max(time + 0.002, 0), element.duration);
      const off = Math.abs(element.currentTime - target);
      if (state.playing) {
        element.playbackRate = Math.min(Math.max(state.speed * data.video.time_scale, 0.0625), 16);
        if (element.paused) element.play().catch(() => {});
        if (off > 0.15 && !element.seeking) element.currentTime = target;
      } else {
        if (!element.paused) element.pause();
        if (off > 0.004 && !element.seeking) element.currentTime = target;
      }
    },
  };
})();

// ---------------------------------------------------------------- the 2D input

const input = (() => {
  const canvas = $("image");
  const pen = canvas.getContext("2d");
  const [imageWidth, imageHeight] = data.image_size ?? [0, 0];
  const isWide = () => document.body.classList.contains("wide");
  let crop = null;

  /** The part of the image where whoever is shown ever is. */
  function frame() {
    const low = [Infinity, Infinity];
    const high = [-Infinity, -Infinity];
    const perPerson = 2 * numFrames * numJoints;
    for (let i = 0; i < xy.length; i++) {
      if (Number.isNaN(xy[i]) || !isShown(Math.floor(i / perPerson))) continue;
      low[i % 2] = Math.min(low[i % 2], xy[i]);
      high[i % 2] = Math.max(high[i % 2], xy[i]);
    }
    const margin = 0.12 * Math.max(high[0] - low[0], high[1] - low[1], 1);
    let [left, top, right, bottom] = [low[0] - margin, low[1] - margin, high[0] + margin, high[1] + margin];
    if (data.image_size) {
      [left, top] = [Math.max(left, 0), Math.max(top, 0)];
      [right, bottom] = [Math.min(right, imageWidth), Math.min(bottom, imageHeight)];
    }
    if ((data.live || (video && isWide())) && data.image_size) [left, top, right, bottom] = [0, 0, imageWidth, imageHeight];
    crop = right > left && bottom > top ? { left, top, width: right - left, height: bottom - top } : null;
    $("input").hidden = !crop;
  }

  frame();
  if (matchMedia("(max-width: 640px), (max-height: 480px)").matches) $("input").open = false;
  $("input").addEventListener("toggle", () => (state.changed = true));

  /** A light rim, so that bones stand out against any picture. */
  function halo(at, isVisible, unit) {
    pen.globalAlpha = 0.75;
    pen.strokeStyle = "#fff";
    pen.lineWidth = 4.4 * unit;
    pen.beginPath();
    for (const [child, parent] of data.bones) {
      if (!isVisible(child) || !isVisible(parent)) continue;
      pen.moveTo(...at(parent));
      pen.lineTo(...at(child));
    }
    pen.stroke();
  }

  /** The bones of many people, a stroke for each color. */
  function drawCrowd(people, scale, unit) {
    pen.lineWidth = 1.2 * unit;
    for (const color of new Set(data.colors)) {
      pen.strokeStyle = color;
      pen.beginPath();
      for (const person of people) {
        const first = (person * numFrames + state.frame) * numJoints;
        for (const [child, parent] of data.bones) {
          if (data.colors[child] !== color || !confidence[first + child] || !confidence[first + parent]) continue;
          const [from, to] = [2 * (first + parent), 2 * (first + child)];
          pen.moveTo((xy[from] - crop.left) * scale, (xy[from + 1] - crop.top) * scale);
          pen.lineTo((xy[to] - crop.left) * scale, (xy[to + 1] - crop.top) * scale);
        }
      }
      pen.stroke();
    }
  }

  function drawPerson(person, scale, unit) {
    const first = (person * numFrames + state.frame) * numJoints;
    const at = (joint) => [0, 1].map((axis) => (xy[2 * (first + joint) + axis] - [crop.left, crop.top][axis]) * scale);
    const isVisible = (joint) => confidence[first + joint] > 0;
    if (video) halo(at, isVisible, unit);
    for (const [child, parent] of data.bones) {
      if (!isVisible(child) || !isVisible(parent)) continue;
      // low confidence is pale
      pen.globalAlpha = 0.3 + (0.7 * Math.min(confidence[first + child], confidence[first + parent])) / 255;
      pen.strokeStyle = data.colors[child];
      pen.lineWidth = 2.2 * unit;
      pen.beginPath();
      pen.moveTo(...at(parent));
      pen.lineTo(...at(child));
      pen.stroke();
    }
    for (let joint = 0; joint < numJoints; joint++) {
      if (!isVisible(joint)) continue;
      pen.globalAlpha = 0.3 + (0.7 * confidence[first + joint]) / 255;
      pen.fillStyle = data.colors[joint];
      pen.beginPath();
      pen.arc(...at(joint), 2 * unit, 0, 7);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  return {
    frame,
    draw() {
      if (!crop || !$("input").open) return;
      const unit = Math.min(devicePixelRatio, 2);
      const cssWidth = canvas.clientWidth;
      const most = (isWide() ? 0.92 : 0.45) * $("stage").clientHeight - (isWide() ? 90 : 0);
      const cssHeight = Math.min((cssWidth * crop.height) / crop.width, most);
      const [w, h] = [cssWidth, cssHeight].map((length) => Math.round(length * unit));
      if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
      canvas.style.height = `${cssHeight}px`;
      pen.clearRect(0, 0, w, h);
      pen.lineCap = "round";
      const scale = Math.min(w / crop.width, h / crop.height);
      pen.save();
      pen.translate((w - crop.width * scale) / 2, (h - crop.height * scale) / 2);
      pen.fillStyle = css("--sheet"); // the image; what is beyond its border is gray
      if (data.image_size) pen.fillRect(-crop.left * scale, -crop.top * scale, imageWidth * scale, imageHeight * scale);
      const picture = video?.picture();
      if (picture) {
        const perPixel = data.image_size ? picture.width / imageWidth : 1;
        const from = [crop.left, crop.top, crop.width, crop.height].map((length) => length * perPixel);
        pen.drawImage(picture, ...from, 0, 0, crop.width * scale, crop.height * scale);
      }
      const people = data.track_id.map((_, person) => person).filter((p) => isShown(p) && isThere(p, state.frame));
      if (isCrowd && state.person === null) drawCrowd(people, scale, unit);
      else people.forEach((person) => drawPerson(person, scale, unit));
      pen.restore();
    },
  };
})();

// ---------------------------------------------------------------- actions

const timeline = (() => {
  const box = $("lanes");
  const playhead = document.createElement("i");
  let bars = [];

  /** Whose actions are on show, in as few lanes as they fit without overlap. */
  function lay() {
    box.replaceChildren();
    bars = [];
    const shown = data.actions.filter(({ person }) => person == null || isShown(person));
    box.hidden = !shown.length || !duration;
    if (box.hidden) return;
    const lanes = [];
    for (const action of [...shown].sort((one, other) => (one.person ?? -1) - (other.person ?? -1) || one.start_s - other.start_s)) {
      let lane = lanes.find(({ person, stop }) => person === action.person && stop <= action.start_s + 1e-6);
      if (!lane) {
        lane = { person: action.person, element: document.createElement("div") };
        lane.element.className = "lane";
        lanes.push(lane);
        box.append(lane.element);
      }
      lane.stop = action.stop_s;
      const bar = document.createElement("button");
      const percent = (time) => (100 * Math.min(Math.max(time - start, 0), duration)) / duration;
      bar.style.left = `${percent(action.start_s)}%`;
      bar.style.width = `calc(${percent(action.stop_s) - percent(action.start_s)}% - 1px)`;
      bar.style.setProperty("--color", data.label_colors[action.label]);
      bar.textContent = (numPersons > 1 && action.person != null ? `#${data.track_id[action.person]} ` : "") + action.label;
      bar.title = `${action.label}: ${action.start_s.toFixed(2)} to ${action.stop_s.toFixed(2)} s` +
        (action.score == null ? "" : `, score ${action.score.toFixed(2)}`);
      bar.addEventListener("click", () => seek(action.start_s));
      lane.element.append(bar);
      bars.push({ bar, action });
    }
    box.append(playhead);
    playhead.style.height = `${lanes.length * 27 - 3}px`;
  }

  /** Previous or next beginning of an action: -1 or 1. */
  function leap(direction) {
    const times = [...new Set(bars.map(({ action }) => action.start_s))].sort((one, other) => one - other);
    const after = times.filter((time) => (time - state.time) * direction > 1e-3);
    if (after.length) seek(direction > 0 ? after[0] : after.at(-1));
  }

  function draw() {
    if (!duration) return;
    playhead.style.left = `${(100 * (state.time - start)) / duration}%`;
    const isNow = ({ start_s, stop_s }) => start_s <= state.time + 1e-6 && state.time < stop_s - 1e-6;
    const current = bars.filter(({ bar, action }) => bar.classList.toggle("now", isNow(action)));
    const key = current.map(({ bar }) => bar.title).join("\n");
    if (key === draw.key) return;
    draw.key = key;
    $("now").replaceChildren(...current.map(({ bar, action }) => chipOf(bar.textContent, data.label_colors[action.label], action.score)));
  }

  lay();
  return { lay, draw, leap };
})();

/** A strip over the slider: the detector's confidence at each time; empty where nobody is visible. */
const strip = (() => {
  const canvas = $("confidence");
  const pen = canvas.getContext("2d");
  canvas.hidden = !duration;

  function draw() {
    const width = Math.round(canvas.clientWidth * Math.min(devicePixelRatio, 2));
    if (canvas.hidden || !width) return;
    Object.assign(canvas, { width, height: 1 });
    pen.fillStyle = css("--confidence");
    for (let x = 0; x < width; x++) {
      const [from, to] = [x, x + 1].map((at) => frameAt(start + (duration * at) / width));
      let best = 0; // of the persons shown: the mean over joints, at the pixel's least confident frame
      for (let person = 0; person < numPersons; person++) {
        if (!isShown(person)) continue;
        let least = 1;
        for (let frame = from; frame <= Math.max(from, to - 1); frame++) {
          let mean = 0;
          for (let joint = 0; joint < numJoints; joint++) mean += confidenceOf(person, frame, joint) / numJoints;
          least = Math.min(least, isThere(person, frame) ? mean : 0);
        }
        best = Math.max(best, least);
      }
      pen.globalAlpha = best && 0.12 + 0.88 * best ** 2;
      pen.fillRect(x, 0, 1, 1);
    }
  }
  new ResizeObserver(draw).observe(canvas);
  return { draw };
})();

// ---------------------------------------------------------------- controls

function setPlaying(isPlaying) {
  state.playing = isPlaying && duration > 0;
  $("icon").setAttribute("d", state.playing ? "M7 5h3.6v14H7zM13.4 5H17v14h-3.6z" : "M8 5v14l11-7z");
  $("play").setAttribute("aria-label", state.playing ? "Pause" : "Play");
  if (!state.playing) seekFrame(state.frame); // what is looked at is a frame, not between two
}

function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, "0")}`;
}

function drawControls() {
  $("scrub").value = state.frame;
  const done = numFrames > 1 ? state.frame / (numFrames - 1) : 1;
  $("scrub").style.setProperty("--done", `calc(${done} * (100% - 16px) + 8px)`);
  $("clock").firstChild.data = `${clock(state.time)} / ${clock(start + duration)}`;
  $("clock").lastChild.textContent = `frame ${state.frame + 1} of ${numFrames}`;
}

function fact(name, value) {
  const item = document.createElement("span");
  const strong = document.createElement("b");
  strong.textContent = value;
  item.append(`${name} `, strong);
  return item;
}

function setTheme(theme, view) {
  state.theme = theme;
  document.documentElement.dataset.theme = theme;
  view?.dress();
  strip.draw();
  state.changed = true;
}

function setWide(isWide) {
  document.body.classList.toggle("wide", isWide);
  $("wide").setAttribute("aria-pressed", isWide);
  $("input").open = true;
  input.frame();
  state.changed = true;
}

function setUp(view) {
  document.title = data.title;
  $("title").textContent = data.title;
  const { units, axes, root: origin, scale_source: scale } = data.facts;
  $("facts").append(
    ...["right", "left"].map((side) => {
      const item = document.createElement("span");
      const dot = document.createElement("span");
      dot.className = "dot";
      dot.style.background = data.colors[data.joints.findIndex((name) => name.startsWith(side))];
      item.append(dot, `${side} side`);
      return item;
    }),
    fact("units", units), fact("axes", axes), fact("root", origin), fact("scale", scale), fact("grid", "0.5 m"),
  );
  const toggle = (name, text, title) => {
    const button = document.createElement("button");
    Object.assign(button, { title, textContent: text });
    button.setAttribute("aria-pressed", true);
    button.addEventListener("click", () => {
      state[name] = !state[name];
      button.setAttribute("aria-pressed", state[name]);
      state.changed = true;
    });
    $("facts").append(button);
    return button;
  };
  const paleness = toggle("showConfidence", "pale: low confidence in 2D", "Pale where the 2D detector had low confidence (C)");
  const errors = halos && toggle("showUncertainty", "halo: 68 % error", "Each joint lies in its halo in 68 % of cases (U)");
  $("theme").addEventListener("click", () => setTheme(state.theme === "dark" ? "light" : "dark", view));
  $("help").addEventListener("click", () => $("keys").showModal());
  $("keys").addEventListener("click", () => $("keys").close());
  $("wide").addEventListener("click", () => setWide(!document.body.classList.contains("wide")));
  $("input").firstElementChild.textContent = video ? "Video and 2D input" : "2D input";
  $("clock").append("", document.createElement("small"));
  $("scrub").max = numFrames - 1;
  $("transport").hidden = duration === 0;

  $("play").addEventListener("click", () => setPlaying(!state.playing));
  $("scrub").addEventListener("input", () => seekFrame(Number($("scrub").value)));
  $("speed").addEventListener("change", () => (state.speed = Number($("speed").value)));
  if (numPersons > 1 && !data.live) {
    $("person").hidden = false;
    $("person").append(new Option("All persons", ""), ...data.track_id.map((id, i) => new Option(`Person #${id}`, i)));
    $("person").addEventListener("change", () => {
      state.person = $("person").value === "" ? null : Number($("person").value);
      timeline.lay();
      strip.draw();
      input.frame();
      view?.look(view.view ?? "oblique");
      state.changed = true;
    });
  }
  /** The next slower or faster speed. */
  function pace(direction) {
    const speeds = $("speed").options;
    $("speed").selectedIndex = Math.min(Math.max($("speed").selectedIndex + direction, 0), speeds.length - 1);
    $("speed").dispatchEvent(new Event("change"));
  }
  const views = [...$("views").children];
  views.forEach((button) => button.addEventListener("click", () => view?.look(button.dataset.view)));
  view?.controls.addEventListener("start", () => (view.view = null));
  addEventListener("resize", () => (state.changed = true));

  addEventListener("keydown", (event) => {
    if (event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
    const leap = event.shiftKey ? 1 : 0; // second
    const moves = {
      " ": () => setPlaying(!state.playing),
      ArrowLeft: () => (leap ? seek(state.time - leap) : seekFrame(state.frame - 1)),
      ArrowRight: () => (leap ? seek(state.time + leap) : seekFrame(state.frame + 1)),
      Home: () => seekFrame(0),
      End: () => seekFrame(numFrames - 1),
      ",": () => timeline.leap(-1),
      ".": () => timeline.leap(1),
      "[": () => pace(-1),
      "]": () => pace(1),
      c: () => paleness.click(),
      u: () => errors && errors.click(),
      f: () => $("wide").click(),
      t: () => $("theme").click(),
      "?": () => $("keys").showModal(),
    };
    if (Object.hasOwn(moves, event.key)) moves[event.key]();
    else if (views["1234".indexOf(event.key)]) views["1234".indexOf(event.key)].click();
    else return;
    event.preventDefault(); // a focused button or slider would act a second time
  });
  addEventListener("keyup", (event) => event.key === " " && event.target.tagName === "BUTTON" && event.preventDefault());
}

// ---------------------------------------------------------------- live

/** A chip of a label over the view. */
function chipOf(text, color, level) {
  const chip = document.createElement("span");
  chip.style.background = color;
  chip.textContent = text;
  if (level != null) {
    const score = document.createElement("small");
    score.textContent = level.toFixed(2);
    chip.append(score);
  }
  return chip;
}

/** Show the people that `actionpose live` sends, each in a place of the data that is free. */
function listen(view) {
  const words = fact("live", "waiting for pictures");
  $("facts").prepend(words);
  const socket = new WebSocket(data.live);
  socket.addEventListener("close", () => (words.lastChild.textContent = "ended"));
  socket.addEventListener("message", ({ data: text }) => {
    const { people, labels, status } = JSON.parse(text);
    if (!people) return;
    valid.fill(0);
    for (const { place, id, joints_m: joints, xy_px: points, confidence: levels, uncertainty_mm: radii } of people) {
      valid[place] = 1;
      positions.set(joints, 3 * numJoints * place);
      xy.set(points, 2 * numJoints * place);
      confidence.set(levels, numJoints * place);
      if (uncertainty && radii) uncertainty.set(radii, numJoints * place);
      if (view) view.labels[place].textContent = people.length > 1 ? `#${id}` : "";
    }
    words.lastChild.textContent = status;
    $("now").replaceChildren(...labels.map(({ id, label, score }) => (
      chipOf(labels.length > 1 ? `#${id} ${label}` : label, data.label_colors[label], score)
    )));
    state.changed = true;
  });
}

function main() {
  let view = null;
  try {
    view = new View3D($("stage"));
  } catch (error) {
    $("failure").hidden = false;
    $("failure").textContent = `This browser shows no 3D (WebGL): ${error.message}`;
  }
  setUp(view);
  const likesDark = matchMedia("(prefers-color-scheme: dark)");
  setTheme(asked.get("theme") ?? (likesDark.matches ? "dark" : "light"), view);
  likesDark.addEventListener("change", ({ matches }) => setTheme(matches ? "dark" : "light", view));
  if (video) setWide(innerWidth > 900);
  if (Number.isFinite(parseFloat(asked.get("t")))) seek(parseFloat(asked.get("t")));
  if (asked.has("view")) $("views").querySelector(`[data-view="${CSS.escape(asked.get("view"))}"]`)?.click();
  setPlaying(asked.get("play") !== "0" && !matchMedia("(prefers-reduced-motion: reduce)").matches);

  let last = performance.now();
  function tick(now) {
    requestAnimationFrame(tick);
    const elapsed = Math.min((now - last) / 1000, 0.25); // a tab that slept does not leap
    last = now;
    if (state.playing) {
      const time = state.time + elapsed * state.speed;
      seek(time > start + duration ? start : time);
    }
    view?.controls.update();
    video?.follow();
    if (!state.changed) return;
    state.changed = false;
    const step = data.time_s[state.frame + 1] - data.time_s[state.frame];
    view?.update(step > 0 ? (state.time - data.time_s[state.frame]) / step : 0);
    input.draw();
    timeline.draw();
    drawControls();
  }
  requestAnimationFrame(tick);
  if (data.live) listen(view);
}

main();
