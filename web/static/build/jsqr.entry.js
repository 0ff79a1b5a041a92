export { default } from 'jsqr';
