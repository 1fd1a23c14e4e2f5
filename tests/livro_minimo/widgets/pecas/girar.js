export default function mount(box) {
  box.append("girou");
}
